// What a browser adds to pages that work without it: keys, copying, times in its own zone, and a word when the
// connection is lost. Each key clicks or focuses a visible control that carries data-key.
"use strict";
(() => {
  let prefix = "", refreshes = true;
  const all = (selector) => [...document.querySelectorAll(selector)];

  function local(root) {
    for (const time of root.querySelectorAll("time")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.valueOf())) continue;
      time.title = at.toLocaleString();
      const kind = time.dataset.clock, second = kind === "seconds" ? "2-digit" : undefined;
      if (kind === "day") time.textContent = at.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
      else if (kind === "moment") time.textContent = at.toLocaleString([], at.toDateString() === new Date().toDateString()
        ? { hour: "2-digit", minute: "2-digit" } : { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
      else if (kind !== undefined) time.textContent = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second });
    }
    for (const button of root.querySelectorAll("[data-copy], [data-pick-all]")) button.hidden = false;
  }

  function refreshing() { // a page that has nothing more to wait for asks no more
    const part = document.querySelector("[data-refreshes]");
    if (!part) return;
    part.hidden = !document.querySelector("#live[hx-get]");
    part.querySelector("span").textContent = refreshes ? "refreshing every 2 s" : "not refreshing";
    part.querySelector("button").textContent = refreshes ? "Hold refreshing" : "Refresh again";
  }

  function pace(slider) { // the rate it shows, and when the letters would be sent
    const [rate, end] = document.getElementById("pace").children, time = document.createElement("time");
    const at = new Date(Date.now() + 1000 * slider.dataset.pace / slider.value);
    rate.textContent = slider.value === slider.max ? "As fast as the limits let" : `At most ${slider.value} a second`;
    time.dateTime = at.toISOString();
    time.dataset.clock = "moment";
    end.replaceChildren(time);
    local(end);
  }

  function step(by) {
    const rows = all("[data-row]"), at = rows.indexOf(document.activeElement);
    const next = rows[at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + by))];
    if (next) next.focus();
  }

  function isMeant(control) { // what stands in a row is meant when the row has the focus
    const row = control.closest("tr");
    return !row || row.contains(document.activeElement);
  }

  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input:not([type=checkbox]), textarea, select");
    if (typing && event.key === "Escape") typing.blur();
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "j" || event.key === "k") return step(event.key === "j" ? 1 : -1);
    const key = (prefix ? prefix + " " : "") + event.key;
    prefix = event.key === "g" && !prefix ? "g" : "";
    const meant = all("[data-key]").filter((one) => one.dataset.key === key && isMeant(one));
    const control = meant.find((one) => one.closest("tr")) || meant[0]; // a row before the page
    if (!control) return;
    event.preventDefault();
    if (key === "f" || control.matches("select, input:not([type=checkbox])")) control.focus(); else control.click();
  });

  document.addEventListener("click", (event) => {
    if ("pickAll" in event.target.dataset) for (const one of all("input[form=picked]")) one.checked = event.target.checked;
    const button = event.target.closest("button");
    if (button && button.dataset.copy) {
      navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = "Copied";
    } else if (button && "pauseRefresh" in button.dataset) {
      refreshes = !refreshes;
      refreshing();
    }
  });

  function lost(why) { // "connection", "login", "refused", or "" when all is well
    const bar = document.getElementById("lost");
    if (!bar || (bar.hidden && !why)) return;
    const shown = document.querySelector("#as-of time");
    if (bar.hidden) bar.querySelector("time").dateTime = shown ? shown.dateTime : new Date().toISOString();
    for (const one of bar.querySelectorAll("[data-lost]")) one.hidden = one.dataset.lost !== (why || "connection");
    bar.hidden = !why;
    document.body.classList.toggle("lost", !!why);
    local(bar);
  }
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.target.id === "live" && !refreshes) event.preventDefault();
  });
  document.addEventListener("htmx:sendError", () => lost("connection"));
  document.addEventListener("htmx:responseError", (event) => {
    const status = event.detail.xhr.status;
    lost(status === 401 ? "login" : status < 500 && event.target.id !== "live" ? "refused" : "connection");
  });
  document.addEventListener("htmx:afterOnLoad", (event) => {
    if (event.detail.xhr.status < 400) lost("");
    local(document);
    refreshing();
  });
  document.addEventListener("input", (event) => { if ("pace" in event.target.dataset) pace(event.target); });
  document.addEventListener("DOMContentLoaded", () => { local(document); refreshing(); all("[data-pace]").forEach(pace); });
})();
