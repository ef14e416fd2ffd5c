// Sends what its environment says through @segment/analytics-node, and prints what became of it: one JSON object.
//
// HOST, WRITE_KEY: of the server. SAYS: "all kinds of events", or how many times one is tracked.
"use strict";

const { Analytics } = require("@segment/analytics-node");

const { HOST, WRITE_KEY, SAYS } = process.env;
const analytics = new Analytics({ host: HOST, writeKey: WRITE_KEY, flushInterval: 100 });
const statuses = [];
const retries = [];
const errors = [];
analytics.on("http_response", (response) => statuses.push(response.status));
analytics.on("http_request", (request) => retries.push(request.headers["X-Retry-Count"] ?? "0"));
analytics.on("error", (error) => errors.push(error.code));

if (SAYS === "all kinds of events") {
  const context = { traits: { email: "nell@example.com" } };
  analytics.identify({ userId: "node-1", traits: { email: "nell@example.com", plan: "gold" } });
  analytics.track({ userId: "node-1", event: "Registered", properties: { from: "node" } });
  analytics.page({ userId: "node-1", properties: { url: "https://shop.example.com/tea" } });
  analytics.screen({ userId: "node-1", name: "Start" });
  analytics.group({ userId: "node-1", groupId: "g-1" });
  analytics.alias({ userId: "node-1", previousId: "anon-1" });
  analytics.track({
    userId: "node-1",
    event: "Order Completed",
    context,
    properties: {
      order_id: "node-order",
      total: 9.5,
      products: [
        { product_id: "p-1", name: "Tea", price: 9.5, quantity: 1, url: "https://shop.example.com/tea" },
      ],
    },
  });
} else {
  for (let n = 0; n < Number(SAYS); n++) analytics.track({ userId: "node-1", event: `Seen ${n}` });
}

analytics.closeAndFlush({ timeout: 20_000 }).then(() => {
  process.stdout.write(JSON.stringify({ statuses, retries, errors }));
});
