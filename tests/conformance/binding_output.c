/* What an output binding promises: its calls, their deadlines, its end. A part of the binding
 * suite.
 */

/* --- calls --- */

static const struct binding_sample *sample_at(const struct binding *binding, size_t number)
{
    return &binding->subject->samples[number % binding->subject->sample_count];
}

static struct connector_call call_of(struct binding *binding, const struct binding_sample *sample,
                                     struct call *call)
{
    return (struct connector_call){
        .operation = fl_slice_str(sample->operation),
        .data = sample->data.data ? sample->data : FL_SLICE_LIT("null"),
        .metadata = sample->metadata,
        .metadata_count = sample->metadata_count,
        .deadline_at_ms = net_loop_now_ms(binding->fake->loop) + binding->fake->patience_ms,
        .token = call,
    };
}

static enum fl_err try_invoke(struct binding *binding, const struct connector_call *what)
{
    struct fake_gateway *fake = binding->fake;
    struct call *call = what->token;
    struct fl_error error = {0};
    call->binding = binding;
    fake->inside++;
    enum fl_err err = fake->connector->type->invoke(fake->connector, what, &error);
    fake->inside--;
    if (err && !error.text[0])
        fake_complain(fake, "invoke failed without a text");
    return err;
}

static struct call *new_call(struct binding *binding)
{
    return FL_ARENA_NEW(&binding->fake->arena, struct call);
}

/* Makes a call that must be taken. */
static struct call *start_call(struct binding *binding, const struct binding_sample *sample)
{
    struct call *call = new_call(binding);
    struct connector_call what = call_of(binding, sample, call);
    assert_int_equal(try_invoke(binding, &what), FL_OK);
    return call;
}

static bool has_answer(const void *object, size_t number)
{
    const struct call *call = object;
    return call->head.answers >= number;
}

static void assert_answered(struct binding *binding, struct call *call)
{
    assert_true(fake_wait(binding->fake, has_answer, call, 1));
    assert_int_equal(call->head.answers, 1);
}

static void assert_success(struct binding *binding, struct call *call)
{
    assert_answered(binding, call);
    assert_int_equal(call->head.code, FL_OK);
}

struct calls {
    struct call *all[MANY];
    size_t count;
};

static bool have_answers(const void *object, size_t number)
{
    const struct calls *calls = object;
    size_t answered = 0;
    for (size_t i = 0; i < calls->count; i++)
        answered += calls->all[i]->head.answers > 0;
    return answered >= number;
}

static void assert_once_each(const struct calls *calls)
{
    for (size_t i = 0; i < calls->count; i++)
        assert_int_equal(calls->all[i]->head.answers, 1);
}

/* Makes calls until `most` were taken or the binding says "not now". */
static void start_calls(struct binding *binding, struct calls *calls, size_t most)
{
    while (calls->count < most) {
        struct call *call = new_call(binding);
        struct connector_call what = call_of(binding, sample_at(binding, calls->count), call);
        enum fl_err err = try_invoke(binding, &what);
        if (err == FL_ERR_AGAIN)
            break;
        assert_int_equal(err, FL_OK);
        calls->all[calls->count++] = call;
    }
}

static struct calls *new_calls(struct binding *binding)
{
    return FL_ARENA_NEW(&binding->fake->arena, struct calls);
}

#define REQUIRE_SAMPLES(binding) REQUIRE((binding)->subject->sample_count > 0)

/* --- output: answers --- */

static void every_operation_is_answered_once(void **state)
{
    struct binding *binding = *state;
    const char *const *operations = binding->subject->type->operations;
    for (size_t i = 0; operations[i]; i++) {
        struct binding_sample bare = {.operation = operations[i]};
        struct call *call = start_call(binding, &bare);
        assert_answered(binding, call);
        run_quietly(binding);
        assert_int_equal(call->head.answers, 1);
    }
}

static void every_sample_succeeds(void **state)
{
    struct binding *binding = *state;
    REQUIRE_SAMPLES(binding);
    for (size_t i = 0; i < binding->subject->sample_count; i++)
        assert_success(binding, start_call(binding, sample_at(binding, i)));
}

static void unknown_metadata_is_fine(void **state)
{
    struct binding *binding = *state;
    REQUIRE_SAMPLES(binding);
    for (size_t i = 0; i < binding->subject->sample_count; i++) {
        struct binding_sample sample = *sample_at(binding, i);
        struct ce_metadata *rows =
            FL_ARENA_ARRAY(&binding->fake->arena, struct ce_metadata, sample.metadata_count + 4);
        if (sample.metadata_count)
            memcpy(rows, sample.metadata, sizeof *rows * sample.metadata_count);
        struct ce_metadata *more = rows + sample.metadata_count;
        more[0] = (struct ce_metadata){FL_SLICE_LIT("traceparent"), FL_SLICE_LIT("00-0-0-00")};
        more[1] = (struct ce_metadata){FL_SLICE_LIT("nobodyKnowsThis"), FL_SLICE_LIT("x y")};
        more[2] = (struct ce_metadata){FL_SLICE_LIT("nobodyKnowsThis"), FL_SLICE_LIT("again")};
        more[3] = (struct ce_metadata){FL_SLICE_LIT("unset"), FL_SLICE_LIT("")};
        sample.metadata = rows;
        sample.metadata_count += 4;
        assert_success(binding, start_call(binding, &sample));
    }
}

static struct fl_slice copy_of(struct fl_slice s)
{
    char *copy = fl_alloc(s.len + 1);
    if (s.len)
        memcpy(copy, s.data, s.len);
    return fl_slice_of(copy, s.len);
}

/* Overwritten first, so that most readers are found without a sanitizer too. */
static void scrub(struct fl_slice s)
{
    memset((char *)s.data, '\xaa', s.len);
    fl_free((char *)s.data);
}

static void what_a_call_brought_may_be_freed(void **state)
{
    struct binding *binding = *state;
    REQUIRE_SAMPLES(binding);
    for (size_t i = 0; i < binding->subject->sample_count; i++) {
        const struct binding_sample *sample = sample_at(binding, i);
        struct call *call = new_call(binding);
        struct connector_call what = call_of(binding, sample, call);
        struct ce_metadata *rows = fl_zalloc(sizeof *rows * (sample->metadata_count + 1));
        for (size_t row = 0; row < sample->metadata_count; row++) {
            rows[row].key = copy_of(sample->metadata[row].key);
            rows[row].value = copy_of(sample->metadata[row].value);
        }
        what.operation = copy_of(what.operation);
        what.data = copy_of(what.data);
        what.metadata = rows;
        enum fl_err err = try_invoke(binding, &what);
        for (size_t row = 0; row < sample->metadata_count; row++) {
            scrub(rows[row].key);
            scrub(rows[row].value);
        }
        scrub(what.operation);
        scrub(what.data);
        fl_free(rows);
        assert_int_equal(err, FL_OK);
        assert_success(binding, call);
    }
}

static void a_thousand_calls_at_once_are_answered_once_each(void **state)
{
    struct binding *binding = *state;
    REQUIRE_SAMPLES(binding);
    struct calls *calls = new_calls(binding);
    while (calls->count < MANY) {
        size_t before = calls->count;
        start_calls(binding, calls, MANY);
        /* "Not now" is said only while others are under way. */
        assert_true(calls->count > before);
        assert_true(fake_wait(binding->fake, have_answers, calls, before + 1));
    }
    assert_true(fake_wait(binding->fake, have_answers, calls, MANY));
    run_quietly(binding);
    assert_once_each(calls);
}

static void call_again(struct call *call)
{
    struct call *next = call + 1;
    if (!call->countdown)
        return;
    struct connector_call what = call_of(call->binding, sample_at(call->binding, 0), next);
    next->countdown = call->countdown - 1;
    next->on_answer = call_again;
    enum fl_err err = try_invoke(call->binding, &what);
    if (err)
        fake_complain(call->binding->fake, "a call inside an answer was refused");
}

static void the_gateway_may_call_while_it_hears(void **state)
{
    struct binding *binding = *state;
    REQUIRE_SAMPLES(binding);
    struct call *chain = FL_ARENA_ARRAY(&binding->fake->arena, struct call, SOME);
    chain[0].on_answer = call_again;
    chain[0].countdown = SOME - 1;
    struct connector_call what = call_of(binding, sample_at(binding, 0), &chain[0]);
    assert_int_equal(try_invoke(binding, &what), FL_OK);
    for (size_t i = 0; i < SOME; i++)
        assert_success(binding, &chain[i]);
}

/* --- output: deadlines --- */

static enum fl_err try_until(struct binding *binding, size_t sample, struct call *call,
                             int64_t deadline_at_ms)
{
    struct connector_call what = call_of(binding, sample_at(binding, sample), call);
    what.deadline_at_ms = deadline_at_ms;
    return try_invoke(binding, &what);
}

static void set_peer_stalled(struct binding *binding, bool is_stalled)
{
    struct binding_subject *subject = binding->subject;
    (is_stalled ? subject->stall : subject->resume)(subject);
    binding->is_stalled = is_stalled;
}

static void a_deadline_that_passed_stops_no_later_call(void **state)
{
    struct binding *binding = *state;
    REQUIRE_SAMPLES(binding);
    struct calls *calls = new_calls(binding);
    int64_t now_ms = net_loop_now_ms(binding->fake->loop);
    const int64_t deadlines[] = {now_ms - 1000, now_ms, now_ms + 1, 0};
    for (size_t i = 0; i < sizeof deadlines / sizeof *deadlines; i++) {
        struct call *call = new_call(binding);
        if (try_until(binding, i, call, deadlines[i]) == FL_OK)
            calls->all[calls->count++] = call;
    }
    assert_success(binding, start_call(binding, sample_at(binding, 0)));
    assert_true(fake_wait(binding->fake, have_answers, calls, calls->count));
    run_quietly(binding);
    assert_once_each(calls);
}

static void a_call_without_deadline_is_answered(void **state)
{
    struct binding *binding = *state;
    REQUIRE_SAMPLES(binding);
    struct call *call = new_call(binding);
    assert_int_equal(try_until(binding, 0, call, INT64_MAX), FL_OK);
    assert_success(binding, call);
}

static void calls_to_a_peer_that_stalls_stop_no_later_call(void **state)
{
    struct binding *binding = *state;
    REQUIRE_SAMPLES(binding);
    REQUIRE(binding->subject->stall);
    set_peer_stalled(binding, true);
    struct calls *calls = new_calls(binding);
    while (calls->count < 3) {
        struct call *call = new_call(binding);
        assert_int_equal(try_until(binding, 0, call, net_loop_now_ms(binding->fake->loop) + 1),
                         FL_OK);
        calls->all[calls->count++] = call;
    }
    run_quietly(binding);
    set_peer_stalled(binding, false);
    assert_success(binding, start_call(binding, sample_at(binding, 0)));
    assert_true(fake_wait(binding->fake, have_answers, calls, calls->count));
    assert_once_each(calls);
}

/* --- output: the end --- */

static void closing_answers_what_is_under_way_first(void **state)
{
    struct binding *binding = *state;
    REQUIRE_SAMPLES(binding);
    struct calls *calls = new_calls(binding);
    start_calls(binding, calls, SOME);
    fake_close(binding->fake, binding->fake->patience_ms);
    assert_closed_once(binding);
    assert_once_each(calls);
    for (size_t i = 0; i < calls->count; i++)
        assert_int_equal(calls->all[i]->head.code, FL_OK);
}

static void closing_without_time_answers_what_is_under_way(void **state)
{
    struct binding *binding = *state;
    REQUIRE_SAMPLES(binding);
    struct calls *calls = new_calls(binding);
    start_calls(binding, calls, SOME);
    fake_close(binding->fake, 0);
    assert_closed_once(binding);
    assert_once_each(calls);
}

static void closing_does_not_wait_for_a_peer_that_stalls(void **state)
{
    struct binding *binding = *state;
    REQUIRE_SAMPLES(binding);
    REQUIRE(binding->subject->stall);
    set_peer_stalled(binding, true);
    struct calls *calls = new_calls(binding);
    start_calls(binding, calls, 3);
    fake_close(binding->fake, binding->fake->quiet_ms);
    assert_closed_once(binding);
    assert_once_each(calls);
}

static void a_call_after_close_is_refused_or_answered(void **state)
{
    struct binding *binding = *state;
    REQUIRE_SAMPLES(binding);
    struct call *call = new_call(binding);
    fake_close(binding->fake, binding->fake->patience_ms);
    struct connector_call what = call_of(binding, sample_at(binding, 0), call);
    unsigned expected = try_invoke(binding, &what) == FL_OK;
    assert_closed_once(binding);
    assert_int_equal(call->head.answers, expected);
}

static const struct CMUnitTest output_promises[] = {
    PROMISE(every_operation_is_answered_once),
    PROMISE(every_sample_succeeds),
    PROMISE(unknown_metadata_is_fine),
    PROMISE(what_a_call_brought_may_be_freed),
    PROMISE(a_thousand_calls_at_once_are_answered_once_each),
    PROMISE(the_gateway_may_call_while_it_hears),
    PROMISE(a_deadline_that_passed_stops_no_later_call),
    PROMISE(a_call_without_deadline_is_answered),
    PROMISE(calls_to_a_peer_that_stalls_stop_no_later_call),
    PROMISE(closing_answers_what_is_under_way_first),
    PROMISE(closing_without_time_answers_what_is_under_way),
    PROMISE(closing_does_not_wait_for_a_peer_that_stalls),
    PROMISE(a_call_after_close_is_refused_or_answered),
};
