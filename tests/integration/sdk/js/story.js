// An application and its tests in one: everything below goes through the official SDK, unchanged.
// Prints one JSON line for each claim: {"claim": …, "failure": null or a text}.
"use strict";
const assert = require("node:assert/strict");
const { DaprServer, DaprClient, CommunicationProtocolEnum, DaprPubSubStatusEnum, LogLevel } =
  require("@dapr/dapr");

const quiet = { level: LogLevel.Error };
const daprPort = process.env.DAPR_HTTP_PORT;
const PUBSUB = "pubsub";
const DEADLINE_MS = 20000;

const calls = new Map(); // by name: what the handler got, call by call

function note(name, data) {
  if (!calls.has(name)) calls.set(name, []);
  calls.get(name).push(data);
  return calls.get(name).length;
}

const got = (name) => calls.get(name) ?? [];
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(claim, what) {
  const giveUpAt = Date.now() + DEADLINE_MS;
  while (!claim()) {
    if (Date.now() > giveUpAt) throw new Error(`never came: ${what}`);
    await sleep(20);
  }
}

const expected = new Map();

/** So many calls now; the last claim but one looks again, when a wrong one would have come. */
async function exactly(name, count) {
  await until(() => got(name).length >= count, `${count} calls of ${name}, got ${got(name).length}`);
  assert.equal(got(name).length, count, `calls of ${name}`);
  expected.set(name, count);
}

async function subscribeAll(server) {
  const { SUCCESS, RETRY, DROP } = DaprPubSubStatusEnum;
  const { pubsub, binding } = server;
  await pubsub.subscribe(PUBSUB, "plain", async (data) => void note("plain", data));
  await pubsub.subscribe(PUBSUB, "bulk-publish", async (data) => void note("bulk-publish", data));
  await pubsub.subscribe(PUBSUB, "raw", async (data) => void note("raw", data), undefined,
    { rawPayload: true });
  await pubsub.subscribeWithOptions(PUBSUB, "routed", { route: {
    default: "/routed-default",
    rules: [{ match: `event.type == "order.created"`, path: "/routed-created" },
            { match: `event.type == "order.gone"`, path: "/routed-gone" }],
  } });
  pubsub.subscribeToRoute(PUBSUB, "routed", "/routed-default",
    async (data) => void note("routed default", data));
  pubsub.subscribeToRoute(PUBSUB, "routed", "/routed-created",
    async (data) => void note("routed created", data));
  pubsub.subscribeToRoute(PUBSUB, "routed", "/routed-gone",
    async (data) => void note("routed gone", data));
  await pubsub.subscribe(PUBSUB, "twice", async (data) =>
    note("twice", data) < 3 ? RETRY : SUCCESS);
  await pubsub.subscribe(PUBSUB, "thrown", async (data) => {
    note("thrown", data);
    throw new Error("the SDK answers SUCCESS for this");
  });
  await pubsub.subscribe(PUBSUB, "dropped", async (data) => {
    note("dropped", data);
    return DROP;
  });
  await pubsub.subscribeWithOptions(PUBSUB, "doomed", {
    deadLetterTopic: "doomed-letters",
    callback: async (data) => {
      note("doomed", data);
      return RETRY;
    },
  });
  await pubsub.subscribe(PUBSUB, "doomed-letters", async (data) => void note("letters", data));
  await pubsub.subscribeWithOptions(PUBSUB, "dropped-letters", {
    deadLetterTopic: "doomed-letters",
    callback: async (data) => {
      note("dropped with letters", data);
      return DROP;
    },
  });
  await pubsub.subscribeBulk(PUBSUB, "bulk", async (data) => void note("bulk", data),
    { maxMessagesCount: 10, maxAwaitDurationMs: 40 });
  await pubsub.subscribeBulk(PUBSUB, "bulk-retry", async (data) =>
    note(`bulk-retry ${data.n}`, data) < 2 && data.n === 1 ? RETRY : SUCCESS,
    { maxMessagesCount: 3, maxAwaitDurationMs: 40 });
  await binding.receive("ticks", async (data) => void note("ticks", data));
  await binding.receive("failing-ticks", async (data) => {
    note("failing-ticks", data);
    throw new Error("no");
  });
}

const claims = {
  async "objects arrive as they were published, once"(client) {
    const sent = { id: 17, text: "é ✓ <&>", nested: { list: [1, null, true, 1.5] } };
    assert.deepEqual(await client.pubsub.publish(PUBSUB, "plain", sent), {});
    await exactly("plain", 1);
    assert.deepEqual(got("plain")[0], sent);
  },
  async "strings, arrays and CloudEvents arrive"(client) {
    const before = got("plain").length;
    await client.pubsub.publish(PUBSUB, "plain", "just a text");
    await client.pubsub.publish(PUBSUB, "plain", [1, 2, 3]);
    await client.pubsub.publish(PUBSUB, "plain", {
      specversion: "1.0", id: "mine", source: "story", type: "t", data: { from: "event" },
      datacontenttype: "application/json",
    });
    await exactly("plain", before + 3);
    const texts = got("plain").slice(before).map((one) => JSON.stringify(one)).sort();
    assert.deepEqual(texts, ['"just a text"', "[1,2,3]", '{"from":"event"}'].sort());
  },
  async "a raw payload arrives as bytes"(client) {
    await client.pubsub.publish(PUBSUB, "raw", { raw: true }, { metadata: { rawPayload: true } });
    await exactly("raw", 1);
    const text = Buffer.isBuffer(got("raw")[0]) ? got("raw")[0].toString() : got("raw")[0];
    assert.deepEqual(typeof text === "string" ? JSON.parse(text) : text, { raw: true });
  },
  async "a publish that is refused says so"(client) {
    const answer = await client.pubsub.publish("nowhere", "plain", { a: 1 });
    assert.match(String(answer.error), /ERR_PUBSUB_NOT_FOUND|pubsub nowhere/);
  },
  async "a bulk publish delivers each of its messages once"(client) {
    const sent = Array.from({ length: 25 }, (_, n) => ({ n }));
    const answer = await client.pubsub.publishBulk(PUBSUB, "bulk-publish", sent);
    assert.deepEqual(answer.failedMessages, []);
    await exactly("bulk-publish", 25);
    assert.deepEqual(got("bulk-publish").map((one) => one.n).sort((a, b) => a - b),
      sent.map((one) => one.n));
  },
  async "explicit entries of a bulk publish keep their content types"(client) {
    const before = got("bulk-publish").length;
    const answer = await client.pubsub.publishBulk(PUBSUB, "bulk-publish", [
      { entryID: "a", event: "text", contentType: "text/plain" },
      { entryID: "b", event: { n: 99 }, contentType: "application/json" },
    ]);
    assert.deepEqual(answer.failedMessages, []);
    await exactly("bulk-publish", before + 2);
  },
  async "rules choose the route"(client) {
    const event = (type, n) => ({ specversion: "1.0", id: `r${n}`, source: "story", type,
                                  datacontenttype: "application/json", data: { n } });
    await client.pubsub.publish(PUBSUB, "routed", event("order.created", 1));
    await client.pubsub.publish(PUBSUB, "routed", event("order.gone", 2));
    await client.pubsub.publish(PUBSUB, "routed", event("order.changed", 3));
    await exactly("routed created", 1);
    await exactly("routed gone", 1);
    await exactly("routed default", 1);
    assert.deepEqual(got("routed default")[0], { n: 3 });
  },
  async "RETRY is tried again, and not after its success"(client) {
    await client.pubsub.publish(PUBSUB, "twice", { n: 1 });
    await exactly("twice", 3);
  },
  async "a handler that throws is not called again"(client) {
    await client.pubsub.publish(PUBSUB, "thrown", { n: 1 });
    await exactly("thrown", 1);
  },
  async "DROP is final"(client) {
    await client.pubsub.publish(PUBSUB, "dropped", { n: 1 });
    await exactly("dropped", 1);
  },
  async "a spent policy ends in the dead letter topic, called as often as it says"(client) {
    const before = got("letters").length;
    await client.pubsub.publish(PUBSUB, "doomed", { n: 7 });
    await exactly("doomed", 4);
    await exactly("letters", before + 1);
    assert.deepEqual(got("letters").at(-1), { n: 7 });
  },
  async "DROP goes to the dead letter topic"(client) {
    const before = got("letters").length;
    await client.pubsub.publish(PUBSUB, "dropped-letters", { n: 8 });
    await exactly("dropped with letters", 1);
    await exactly("letters", before + 1);
  },
  async "a bulk subscription gets everything once"(client) {
    const sent = Array.from({ length: 30 }, (_, n) => ({ n }));
    await client.pubsub.publishBulk(PUBSUB, "bulk", sent);
    await exactly("bulk", 30);
    assert.deepEqual(got("bulk").map((one) => one.n).sort((a, b) => a - b),
      sent.map((one) => one.n));
  },
  async "of a bulk delivery only what asked for it is tried again"(client) {
    await client.pubsub.publishBulk(PUBSUB, "bulk-retry", [{ n: 0 }, { n: 1 }, { n: 2 }]);
    await exactly("bulk-retry 1", 2);
    await exactly("bulk-retry 0", 1);
    await exactly("bulk-retry 2", 1);
  },
  async "an input binding calls its handler"() {
    await until(() => got("ticks").length >= 2, "two ticks");
  },
  async "a handler of an input binding that fails is called again at the next event only"() {
    await until(() => got("failing-ticks").length >= 2, "two ticks");
    assert.ok(got("failing-ticks").length <= got("ticks").length + 1);
  },
  async "an output binding writes, lists, reads and deletes files"(client) {
    const { binding } = client;
    await binding.send("files", "create", "hello from the SDK!", { fileName: "a/b.txt" });
    assert.equal(await binding.send("files", "get", undefined, { fileName: "a/b.txt" }),
      "hello from the SDK!");
    assert.equal((await binding.send("files", "list")).length, 1);
    assert.equal(await binding.send("files", "delete", undefined, { fileName: "a/b.txt" }), "");
    await assert.rejects(binding.send("files", "get", undefined, { fileName: "a/b.txt" }),
      /file not found/);
  },
  async "an output binding calls an HTTP server"(client) {
    const answer = await client.binding.send("web", "get", undefined, { path: "/dapr/subscribe" });
    assert.ok(answer.some((one) => one.topic === "doomed"));
  },
  async "an unknown operation names those there are"(client) {
    await assert.rejects(client.binding.send("files", "copy", "x"),
      /supported operations:create get list delete/);
  },
  async "metadata is read and written"(client) {
    const before = await client.metadata.get();
    assert.equal(before.id, process.env.APP_ID);
    assert.ok(before.components.some((one) => one.name === PUBSUB));
    assert.ok(await client.metadata.set("story", "told"));
    assert.equal((await client.metadata.get()).extended.story, "told");
    assert.ok(before.subscriptions.some((one) => one.topic === "doomed"
      && one.deadLetterTopic === "doomed-letters"));
  },
  async "the sidecar is healthy"(client) {
    assert.equal(await client.health.isHealthy(), true);
  },
  async "nobody was called more often than that"() {
    await sleep(2000);
    assert.deepEqual(Object.fromEntries([...expected.keys()].map((name) => [name, got(name).length])),
      Object.fromEntries(expected));
  },
  async "the sidecar shuts down when it is asked"(client) {
    await client.sidecar.shutdown();
    await until(() => stoppedAt !== null, "the sidecar's end");
  },
};

let stoppedAt = null;

async function watchSidecar() {
  while (stoppedAt === null) {
    await sleep(50);
    try {
      await fetch(`http://127.0.0.1:${daprPort}/v1.0/healthz`);
    } catch {
      stoppedAt = Date.now();
    }
  }
}

async function main() {
  const server = new DaprServer({
    serverHost: "127.0.0.1",
    serverPort: process.env.APP_PORT,
    communicationProtocol: CommunicationProtocolEnum.HTTP,
    clientOptions: { daprHost: "127.0.0.1", daprPort, logger: quiet },
    logger: quiet,
  });
  const client = new DaprClient({
    daprHost: "127.0.0.1", daprPort,
    communicationProtocol: CommunicationProtocolEnum.HTTP, logger: quiet,
  });
  await subscribeAll(server);
  await server.start();
  while ((await fetch(`http://127.0.0.1:${daprPort}/v1.0/healthz`)).status !== 204) await sleep(20);
  watchSidecar();
  for (const [claim, prove] of Object.entries(claims)) {
    let failure = null;
    try {
      await prove(client);
    } catch (error) {
      failure = error.stack ?? String(error);
    }
    console.log(JSON.stringify({ claim, failure }));
  }
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
