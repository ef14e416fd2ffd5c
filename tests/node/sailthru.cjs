// Sailthru's own Node client, unchanged but for its address. Prints one JSON object: what each call was answered with.
"use strict";

const { createSailthruClient } = require("sailthru-client");

const client = createSailthruClient("sandbox", "sandbox", { apiUrl: process.env.API_URL });
client.disableLogging();

/** One call: its reply, or the error that the client makes of it. */
const made = (call) =>
  new Promise((done) => call((error, reply) => done(error ? { refused: error } : reply)));

async function day() {
  const told = {};
  const user = { keys: { email: "zoe@example.com" }, vars: { "city é": { name: "Łódź & co" } } };
  told.saved = await made((next) => client.saveUserByKey("node-1", "extid", user, next));
  const event = { id: "node-1", key: "extid", event: "Registered", vars: { plan: "pro" } };
  told.event = await made((next) => client.apiPost("event", event, next));
  const items = [
    { id: "p-1", title: "Tea “green” 100%", price: 450, qty: 2, url: "https://shop.example.com/?a=1&b=é" },
  ];
  told.cart = await made((next) => client.purchase("zoe@example.com", items, { incomplete: 1 }, next));
  const order = { purchase_keys: { extid: "node-o-1" } };
  told.order = await made((next) => client.purchase("zoe@example.com", items, order, next));
  told.reserved = await made((next) => client.apiPost("event", { ...event, event: "click" }, next));
  told.unknown = await made((next) => client.getUserByKey("nobody", "extid", next));
  told.limit = client.getLastRateLimitInfo("user", "GET");
  const other = createSailthruClient("sandbox", "wrong", { apiUrl: process.env.API_URL });
  other.disableLogging();
  told.wrong = await made((next) => other.apiPost("event", event, next));
  return told;
}

day().then((told) => console.log(JSON.stringify(told)));
