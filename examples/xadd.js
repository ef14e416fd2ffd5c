// Events into sailpipe by Node and the package `redis` (npm install redis). Prints the ids of the entries.
//   SAILPIPE_REDIS_URL=redis://127.0.0.1:6379/0 node examples/xadd.js
const { readFileSync } = require("node:fs");
const { createClient } = require("redis");

// The address, or what `sailpipe up` left in its folder.
const url = process.env.SAILPIPE_REDIS_URL ?? readFileSync(".sailpipe/redis.url", "utf8").trim();

// A request of a shop should not wait for a Redis that is away: one try, three seconds, then an error.
const client = createClient({
  url,
  disableOfflineQueue: true,
  socket: { connectTimeout: 3000, socketTimeout: 5000, reconnectStrategy: false },
});
client.on("error", () => {}); // every command below is rejected with it, too

/** Append one event; the id of its entry. Rejects when Redis is away or full: try again with the same messageId. */
function enqueue(event, labels = {}) {
  return client.xAdd("sailpipe:raw", "*", { event: JSON.stringify(event), ...labels });
}

async function main() {
  await client.connect();
  try {
    const traits = { email: "zoe@example.com", firstName: "Zoë" };
    console.log(await enqueue({ type: "identify", userId: "node-1", messageId: "node-a", traits }));

    // Commands that are given at once go in one round trip, in order. An import says that it is bulk.
    const names = ["Joined Zoë's Club", "Left It"];
    const sent = names.map((event, n) =>
      enqueue({ type: "track", userId: "node-1", messageId: `node-b${n}`, event }, { class: "bulk" }),
    );
    for (const id of await Promise.all(sent)) console.log(id);
  } finally {
    client.destroy();
  }
}

main().catch((error) => {
  console.error(`not enqueued: ${error.message}`);
  process.exitCode = 1;
});
