/* One row per flag: name, type, group, default, help, where it goes, which forms of the command
 * line take it, and whether it does anything here; and one row per subcommand. Parser, help and
 * manual are made from these. */
#include "config/flags_priv.h"

#define AT(member) offsetof(struct config_raw_flags, member)
#define TOOLS (CONFIG_TAKES(CONFIG_PUBLISH) | CONFIG_TAKES(CONFIG_PEEK))
#define WRITERS (CONFIG_TAKES_DAPRD | CONFIG_TAKES(CONFIG_PUBLISH))
#define RESOURCES (CONFIG_TAKES_DAPRD | TOOLS | CONFIG_TAKES(CONFIG_CHECK))
#define ALL (CONFIG_TAKES_DAPRD | TOOLS)

const struct config_flag config_flags_table[] = {
    {"pubsub", CONFIG_FLAG_STRING, CONFIG_GROUP_COMMAND, AT(pubsub), NULL, NULL,
     "Name of the component; none: the only pub/sub component there is, or the one named pubsub.",
     'p', TOOLS},
    {"content-type", CONFIG_FLAG_STRING, CONFIG_GROUP_COMMAND, AT(content_type), NULL, NULL,
     "What the data is; none: a CloudEvent in JSON is taken as one, other JSON is "
     "application/json, "
     "all else text/plain.",
     .takes = CONFIG_TAKES(CONFIG_PUBLISH)},
    {"metadata", CONFIG_FLAG_PAIRS, CONFIG_GROUP_COMMAND, AT(metadata), NULL, NULL,
     "KEY=VALUE, as metadata.KEY of the API: delay, deliverAt, ttlInSeconds, partitionKey, "
     "rawPayload, cloudevent.subject, …; may be repeated.",
     'm', CONFIG_TAKES(CONFIG_PUBLISH)},
    {"id", CONFIG_FLAG_STRING, CONFIG_GROUP_COMMAND, AT(event_id), NULL, NULL,
     "The CloudEvent's id, as --metadata cloudevent.id=ID; none: a new one.",
     .takes = CONFIG_TAKES(CONFIG_PUBLISH)},
    {"type", CONFIG_FLAG_STRING, CONFIG_GROUP_COMMAND, AT(event_type), NULL, NULL,
     "Its type, as --metadata cloudevent.type=TYPE.", .takes = CONFIG_TAKES(CONFIG_PUBLISH)},
    {"source", CONFIG_FLAG_STRING, CONFIG_GROUP_COMMAND, AT(event_source), NULL, NULL,
     "Its source, as --metadata cloudevent.source=SOURCE; none: the application's id.",
     .takes = CONFIG_TAKES(CONFIG_PUBLISH)},
    {"lines", CONFIG_FLAG_BOOL, CONFIG_GROUP_COMMAND, AT(lines), NULL, NULL,
     "Each line of the input is a message; empty ones are not.", 'n', CONFIG_TAKES(CONFIG_PUBLISH)},
    {"quiet", CONFIG_FLAG_BOOL, CONFIG_GROUP_COMMAND, AT(quiet), NULL, NULL, "Print no ids.", 'q',
     CONFIG_TAKES(CONFIG_PUBLISH)},
    {"count", CONFIG_FLAG_INT, CONFIG_GROUP_COMMAND, AT(count), "10", NULL,
     "The most messages to show.", 'n', CONFIG_TAKES(CONFIG_PEEK)},
    {"group", CONFIG_FLAG_STRING, CONFIG_GROUP_COMMAND, AT(group), NULL, NULL,
     "Show what this consumer group (an application's id) has not settled yet; none: what is "
     "stored.",
     'g', CONFIG_TAKES(CONFIG_PEEK)},
    {"json", CONFIG_FLAG_BOOL, CONFIG_GROUP_COMMAND, AT(json), NULL, NULL,
     "One JSON object a line for each finding and for the sum of them, in place of text.",
     .takes = CONFIG_TAKES(CONFIG_CHECK)},
    {"names", CONFIG_FLAG_BOOL, CONFIG_GROUP_COMMAND, AT(names), NULL, NULL,
     "Print the names of the types and nothing else, one a line.",
     .takes = CONFIG_TAKES(CONFIG_OPTIONS)},

    {"app-id", CONFIG_FLAG_STRING, CONFIG_GROUP_APP, AT(app_id), NULL, NULL,
     "Name of the application, without dots; required, but in subcommands the current folder's "
     "name, and under check nobody in particular: resources of every scope are looked at.",
     'a', RESOURCES, .variable = "APP_ID"},
    {"app-port", CONFIG_FLAG_STRING, CONFIG_GROUP_APP, AT(app_port), NULL, NULL,
     "Port that the application listens on; none: there is no application.", 'p',
     .variable = "APP_PORT"},
    {"app-protocol", CONFIG_FLAG_STRING, CONFIG_GROUP_APP, AT(app_protocol), "http", NULL,
     "How to talk to the application: http or https. h2c, grpc and grpcs are refused: HTTP/2 is "
     "not "
     "served by this version.",
     'P', .words = "http https"},
    {"app-channel-address", CONFIG_FLAG_STRING, CONFIG_GROUP_APP, AT(app_channel_address),
     "127.0.0.1", NULL, "Host of the application."},
    {"app-max-concurrency", CONFIG_FLAG_INT, CONFIG_GROUP_APP, AT(app_max_concurrency), "-1", NULL,
     "Calls of the application at once; 0 or less: no limit."},
    {"app-ssl", CONFIG_FLAG_BOOL, CONFIG_GROUP_APP, AT(app_ssl), NULL,
     "use --app-protocol=https instead", "Talk HTTPS to the application."},
    {"enable-app-health-check", CONFIG_FLAG_BOOL, CONFIG_GROUP_APP, AT(has_health_check), NULL,
     NULL, "Probe the application and deliver only while it is healthy."},
    {"app-health-check-path", CONFIG_FLAG_STRING, CONFIG_GROUP_APP, AT(health_path), "/healthz",
     NULL, "Path of the probe."},
    {"app-health-probe-interval", CONFIG_FLAG_INT, CONFIG_GROUP_APP, AT(probe_interval), "5", NULL,
     "Seconds between probes."},
    {"app-health-probe-timeout", CONFIG_FLAG_INT, CONFIG_GROUP_APP, AT(probe_timeout), "500", NULL,
     "Milliseconds until a probe has failed; not longer than the interval."},
    {"app-health-threshold", CONFIG_FLAG_INT, CONFIG_GROUP_APP, AT(threshold), "3", NULL,
     "Failed probes until the application counts as unhealthy."},
    {"disable-init-endpoints", CONFIG_FLAG_LIST, CONFIG_GROUP_APP, AT(disable_init), NULL, NULL,
     "Endpoints of the application not to call at start: config, subscribe.",
     .words = "config subscribe"},

    {"dapr-http-port", CONFIG_FLAG_STRING, CONFIG_GROUP_API, AT(http_port), "3500", NULL,
     "Port of the HTTP API.", 'H', .variable = "DAPR_HTTP_PORT"},
    {"dapr-listen-addresses", CONFIG_FLAG_STRING, CONFIG_GROUP_API, AT(listen_addresses), NULL,
     NULL, "Addresses to listen on, comma-separated; none: all.", .run_default = "127.0.0.1"},
    {"dapr-public-port", CONFIG_FLAG_STRING, CONFIG_GROUP_API, AT(public_port), NULL, NULL,
     "Extra port for health and metadata only, without a token; none: off."},
    {"dapr-public-listen-address", CONFIG_FLAG_STRING, CONFIG_GROUP_API, AT(public_listen_address),
     NULL, NULL, "Address of the public port; none: all."},
    {"unix-domain-socket", CONFIG_FLAG_STRING, CONFIG_GROUP_API, AT(unix_domain_socket), NULL, NULL,
     "Folder for a Unix socket (dapr-APPID-http.socket) to listen on instead of TCP.", 'u',
     .offer = CONFIG_OFFER_FOLDERS},
    {"allowed-origins", CONFIG_FLAG_STRING, CONFIG_GROUP_API, AT(allowed_origins), NULL, NULL,
     "Origins that browsers may call from, comma-separated, * for all; none: no CORS at all."},
    {"max-body-size", CONFIG_FLAG_STRING, CONFIG_GROUP_API, AT(max_body), "4Mi", NULL,
     "Most bytes of a request body, such as 4Mi or 16M; 0: no limit; -1: the default.",
     .takes = WRITERS},
    {"dapr-http-max-request-size", CONFIG_FLAG_INT, CONFIG_GROUP_API, AT(old_max_body), "4",
     "use --max-body-size instead", "The same in MB; --max-body-size wins."},
    {"read-buffer-size", CONFIG_FLAG_STRING, CONFIG_GROUP_API, AT(read_buffer), "4Ki", NULL,
     "Most bytes of a request's head, and of the application's response head."},
    {"dapr-http-read-buffer-size", CONFIG_FLAG_INT, CONFIG_GROUP_API, AT(old_read_buffer), "4",
     "use --read-buffer-size instead", "The same in KB; --read-buffer-size wins."},
    {"max-connections", CONFIG_FLAG_INT, CONFIG_GROUP_API, AT(max_connections), "10000", NULL,
     "Connections at once; at this bound accepting stops until one ends."},
    {"reuse-port", CONFIG_FLAG_BOOL, CONFIG_GROUP_API, AT(reuse_port), NULL, NULL,
     "Let several processes share the API port (SO_REUSEPORT)."},

    {"resources-path", CONFIG_FLAG_LIST, CONFIG_GROUP_RESOURCES, AT(resources_paths), NULL, NULL,
     "Folder of resource files; may be repeated; none: no resources, but in subcommands the "
     "component pubsub, a broker in a file of --data-dir.",
     'd', RESOURCES, .offer = CONFIG_OFFER_FOLDERS},
    {"components-path", CONFIG_FLAG_STRING, CONFIG_GROUP_RESOURCES, AT(components_path), NULL,
     "use --resources-path instead", "One such folder; ignored when --resources-path is given.",
     .takes = RESOURCES, .offer = CONFIG_OFFER_FOLDERS},
    {"config", CONFIG_FLAG_LIST, CONFIG_GROUP_RESOURCES, AT(config_files), NULL, NULL,
     "Configuration file; may be repeated, later ones win.", 'c', RESOURCES,
     .offer = CONFIG_OFFER_FILES},
    {"data-dir", CONFIG_FLAG_STRING, CONFIG_GROUP_RESOURCES, AT(data_dir), NULL, NULL,
     "Folder for files that connectors keep, such as the embedded broker's; none: "
     "$XDG_STATE_HOME/fairlead, else ~/.local/state/fairlead.",
     .takes = ALL, .offer = CONFIG_OFFER_FOLDERS},
    {"strict", CONFIG_FLAG_BOOL, CONFIG_GROUP_RESOURCES, AT(strict), NULL, NULL,
     "Treat every warning about resources and configuration as an error.", .takes = RESOURCES},

    {"log-level", CONFIG_FLAG_STRING, CONFIG_GROUP_LOG, AT(log_level), "info", NULL,
     "debug, info, warn, error or fatal.", .takes = ALL, .tool_default = "fatal",
     .words = "debug info warn error fatal"},
    {"log-as-json", CONFIG_FLAG_BOOL, CONFIG_GROUP_LOG, AT(log_as_json), NULL, NULL,
     "One JSON object a line.", .takes = ALL},
    {"log-file", CONFIG_FLAG_STRING, CONFIG_GROUP_LOG, AT(log_file), NULL, NULL,
     "File to append the log to; none: standard output.", .takes = ALL,
     .offer = CONFIG_OFFER_FILES},
    {"enable-api-logging", CONFIG_FLAG_TRISTATE, CONFIG_GROUP_LOG, AT(api_logging), NULL, NULL,
     "Log every API call; not given: as the configuration says."},
    {"enable-metrics", CONFIG_FLAG_BOOL, CONFIG_GROUP_LOG, AT(enable_metrics), "true", NULL,
     "Serve metrics in Prometheus' format."},
    {"metrics-port", CONFIG_FLAG_STRING, CONFIG_GROUP_LOG, AT(metrics_port), "9090", NULL,
     "Port of the metrics.", .variable = "DAPR_METRICS_PORT"},
    {"metrics-listen-address", CONFIG_FLAG_STRING, CONFIG_GROUP_LOG, AT(metrics_listen_address),
     "0.0.0.0", NULL, "Address of the metrics port.", .run_default = "127.0.0.1"},

    {"max-memory", CONFIG_FLAG_STRING, CONFIG_GROUP_LIFE, AT(max_memory), "256Mi", NULL,
     "Bytes for request bodies, publishes waiting for their confirmation, and unsettled "
     "deliveries.",
     .takes = WRITERS},
    {"publish-wait", CONFIG_FLAG_DURATION, CONFIG_GROUP_LIFE, AT(publish_wait_ms), "2s", NULL,
     "How long a publish waits at a bound, or for its component's connection, before it is "
     "refused.",
     .takes = WRITERS},
    {"publish-timeout", CONFIG_FLAG_DURATION, CONFIG_GROUP_LIFE, AT(publish_timeout_ms), "30s",
     NULL, "How long to wait for a broker's confirmation.", .takes = WRITERS},
    {"dapr-graceful-shutdown-seconds", CONFIG_FLAG_INT, CONFIG_GROUP_LIFE, AT(graceful_seconds),
     "5", NULL, "Time for what is in flight at shutdown; 0: for ever."},
    {"dapr-block-shutdown-duration", CONFIG_FLAG_DURATION, CONFIG_GROUP_LIFE, AT(block_ms), NULL,
     NULL, "Keep working this long after the signal, or until the application is unhealthy."},

    {"mode", CONFIG_FLAG_STRING, CONFIG_GROUP_PROCESS, AT(mode), "standalone", NULL,
     "standalone; kubernetes is refused: its resources come from an operator.",
     .words = "standalone"},
    {"version", CONFIG_FLAG_BOOL, CONFIG_GROUP_PROCESS, AT(version), NULL, NULL,
     "Print the version and end.", .takes = CONFIG_TAKES(CONFIG_SERVE)},
    {"build-info", CONFIG_FLAG_BOOL, CONFIG_GROUP_PROCESS, AT(build_info), NULL, NULL,
     "Print version and commit and end.", .takes = CONFIG_TAKES(CONFIG_SERVE)},
    {"wait", CONFIG_FLAG_BOOL, CONFIG_GROUP_PROCESS, AT(wait), NULL, NULL,
     "Wait for the process that listens on --dapr-http-port to be ready, and end.",
     .takes = CONFIG_TAKES(CONFIG_SERVE)},
    {"enable-mtls", CONFIG_FLAG_BOOL, CONFIG_GROUP_PROCESS, AT(mtls), NULL, NULL,
     "true is refused: there is no certificate authority here and nothing would be encrypted."},
    {"run-file", CONFIG_FLAG_STRING, CONFIG_GROUP_PROCESS, AT(run_file), NULL, NULL,
     "Refused: one `fairlead run` runs one application.", 'f', CONFIG_TAKES(CONFIG_RUN_PROGRAM)},
    {"kubernetes", CONFIG_FLAG_BOOL, CONFIG_GROUP_PROCESS, AT(kubernetes), NULL, NULL,
     "true is refused: applications run on this machine.", 'k', CONFIG_TAKES(CONFIG_RUN_PROGRAM)},

    {"dapr-grpc-port", CONFIG_FLAG_STRING, CONFIG_GROUP_ABSENT, AT(grpc_port), "50001", NULL,
     "Port of the gRPC API.", 'G', .variable = "DAPR_GRPC_PORT"},
    {"dapr-internal-grpc-port", CONFIG_FLAG_STRING, CONFIG_GROUP_ABSENT, AT(ignored_text), NULL,
     NULL, "Port for other sidecars.", 'I'},
    {"dapr-internal-grpc-listen-address", CONFIG_FLAG_STRING, CONFIG_GROUP_ABSENT, AT(ignored_text),
     NULL, NULL, "Address for other sidecars."},
    {"enable-profiling", CONFIG_FLAG_BOOL, CONFIG_GROUP_ABSENT, AT(ignored_bool), NULL, NULL,
     "Profiling server."},
    {"profile-port", CONFIG_FLAG_STRING, CONFIG_GROUP_ABSENT, AT(ignored_text), "7777", NULL,
     "Port of the profiling server."},
    {"placement-host-address", CONFIG_FLAG_STRING, CONFIG_GROUP_ABSENT, AT(ignored_text), NULL,
     NULL, "Actors' placement service."},
    {"actors-service", CONFIG_FLAG_STRING, CONFIG_GROUP_ABSENT, AT(ignored_text), NULL,
     "there are no actors here", "Actors' service."},
    {"reminders-service", CONFIG_FLAG_STRING, CONFIG_GROUP_ABSENT, AT(ignored_text), NULL,
     "there are no actors here", "Reminders' service."},
    {"actors-disseminate-timeout", CONFIG_FLAG_DURATION, CONFIG_GROUP_ABSENT, AT(disseminate_ms),
     "30s", NULL, "Actors' dissemination time limit."},
    {"scheduler-host-address", CONFIG_FLAG_LIST, CONFIG_GROUP_ABSENT, AT(ignored_list), NULL, NULL,
     "Scheduler of jobs."},
    {"scheduler-job-streams", CONFIG_FLAG_INT, CONFIG_GROUP_ABSENT, AT(ignored_int), "3", NULL,
     "Connections to the scheduler."},
    {"sentry-address", CONFIG_FLAG_STRING, CONFIG_GROUP_ABSENT, AT(ignored_text), NULL, NULL,
     "Certificate authority."},
    {"sentry-request-jwt-audiences", CONFIG_FLAG_LIST, CONFIG_GROUP_ABSENT, AT(ignored_list), NULL,
     NULL, "Audiences of the certificate authority's tokens."},
    {"control-plane-address", CONFIG_FLAG_STRING, CONFIG_GROUP_ABSENT, AT(ignored_text), NULL, NULL,
     "Kubernetes operator."},
    {"control-plane-trust-domain", CONFIG_FLAG_STRING, CONFIG_GROUP_ABSENT, AT(ignored_text),
     "localhost", NULL, "Trust domain of the control plane."},
    {"control-plane-namespace", CONFIG_FLAG_STRING, CONFIG_GROUP_ABSENT, AT(ignored_text),
     "default", NULL, "Namespace of the control plane."},
    {"disable-builtin-k8s-secret-store", CONFIG_FLAG_BOOL, CONFIG_GROUP_ABSENT, AT(ignored_bool),
     NULL, NULL, "Kubernetes' secret store."},
    {"runtime-path", CONFIG_FLAG_STRING, CONFIG_GROUP_ABSENT, AT(ignored_text), NULL, NULL,
     "Where Dapr is installed.", .takes = CONFIG_TAKES(CONFIG_RUN_PROGRAM)},
    {"image", CONFIG_FLAG_STRING, CONFIG_GROUP_ABSENT, AT(ignored_text), NULL, NULL,
     "Image of the application.", .takes = CONFIG_TAKES(CONFIG_RUN_PROGRAM)},
};

const size_t config_flags_count = sizeof config_flags_table / sizeof *config_flags_table;

_Static_assert(sizeof config_flags_table / sizeof *config_flags_table <= CONFIG_FLAGS_MAX,
               "the parser has room for every row");

const struct config_command_info config_command_infos[CONFIG_COMMAND_COUNT] = {
    [CONFIG_SERVE] = {NULL,
                      "--app-id=ID [--app-port=PORT] [--resources-path=FOLDER] "
                      "[--FLAG[=VALUE] ...]",
                      "the gateway alone, with daprd's flags", ""},
    [CONFIG_RUN_PROGRAM] =
        {"run", "[FLAGS] [--] [COMMAND [ARGUMENT ...]]",
         "the gateway and an application in one terminal",
         "Starts the gateway and the command, shows what both print (the command's lines begin "
         "with\n\"== APP == \"), and ends with the command's status. Flags are those of daprd and "
         "of "
         "`dapr run`,\nwith other defaults:\n"
         "  --app-id                  the current folder's name\n"
         "  --resources-path          none: one component, pubsub, a durable broker in a file of "
         "--data-dir\n"
         "  --dapr-http-port          3500, or the next port that is free; so the others "
         "(50001, 9090)\n"
         "  --dapr-listen-addresses   127.0.0.1; so --metrics-listen-address\n"
         "Where no flag says otherwise, APP_ID, APP_PORT, DAPR_HTTP_PORT, DAPR_GRPC_PORT and\n"
         "DAPR_METRICS_PORT of the environment count before the defaults.\n"
         "The command gets APP_ID, APP_PORT, APP_PROTOCOL, APP_CHANNEL_ADDRESS, DAPR_HTTP_PORT,\n"
         "DAPR_GRPC_PORT, DAPR_METRICS_PORT and DAPR_HTTP_ENDPOINT. Without a command the gateway "
         "runs alone.\n"
         "On SIGTERM what the application works on ends first, then the command gets SIGTERM, then "
         "the\ngateway stops; a second signal ends all at once.\n"},
    [CONFIG_PUBLISH] =
        {"publish", "[FLAGS] TOPIC [DATA | -]", "stores messages, and waits until they are stored",
         "Publishes DATA, or standard input if it is - or absent, as the API would, and prints the "
         "id of each\nmessage that is stored. Needs no running gateway: it opens the component by "
         "itself.\n"
         "Status: 0 all are stored; 1 something is not, and standard error says why; 2 nobody "
         "knows "
         "whether all\nwere stored.\n"},
    [CONFIG_PEEK] =
        {"peek", "[FLAGS] TOPIC", "shows messages and leaves them where they are",
         "Prints the messages of a topic, one JSON object a line, the oldest first, and claims "
         "none. "
         "Needs no\nrunning gateway: it opens the component by itself.\n"
         "Status: 0; 1 when the component cannot be opened or cannot show messages; 2 for a wrong "
         "command line.\n"},
    [CONFIG_CHECK] =
        {"check", "[FLAGS] [FOLDER ...]", "looks at resource files and says all that is wrong",
         "Reads the folders (as --resources-path) and --config as the gateway would at start, and "
         "prints every\nerror and warning with its file and line. What the gateway only warns of "
         "at "
         "start is mostly an error here.\nNothing is connected to, and nothing is written.\n"
         "Without --app-id resources of every application's scope are looked at.\n"
         "Status: 0 no errors; 1 errors (under --strict also warnings); 2 for a wrong command "
         "line.\n"},
    [CONFIG_OPTIONS] =
        {"options", "[FLAGS] [TYPE]", "the manual of a component type",
         "Prints what a component of that type may have in its metadata, and what publishing, "
         "subscribing and\ninvoking take. Without TYPE it lists the types that there are.\n"
         "Status: 0; 1 for a type that there is not; 2 for a wrong command line.\n"},
    [CONFIG_COMPLETION] = {"completion", "bash | zsh | fish",
                           "prints a script that completes command lines",
                           "For this shell only:\n"
                           "  bash  source <(fairlead completion bash)\n"
                           "  zsh   source <(fairlead completion zsh)\n"
                           "  fish  fairlead completion fish | source\n"
                           "Lasting, in a file that the shell reads by itself:\n"
                           "  bash  ~/.local/share/bash-completion/completions/fairlead\n"
                           "  zsh   _fairlead, in a folder of $fpath\n"
                           "  fish  ~/.config/fish/completions/fairlead.fish\n"},
};
