// A page of background work (`data-work` names its part) asks by itself how far it is: only while its tab is seen, and
// without a heap of messages when the server is away for a moment.

const main = document.getElementById("main");
const part = document.querySelector("[data-work]").dataset.work;
const stale = document.getElementById(`${part}-stale`);
let held = "";

const asksByItself = (event) => event.target.id === part && event.detail.requestConfig?.verb === "get";

document.addEventListener("htmx:beforeRequest", (event) => {
  if (asksByItself(event) && document.hidden) event.preventDefault();
});

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) window.htmx?.trigger(`#${part}`, "refresh");
});

// Stopped before the document hears it: there every failure becomes a message of its own.
for (const name of ["htmx:sendError", "htmx:responseError"]) {
  main.addEventListener(name, (event) => {
    if (!asksByItself(event)) return;
    event.stopPropagation();
    stale.hidden = false;
  });
}

document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target?.id !== part) return;
  held = document.activeElement?.closest(`#${part}`) ? document.activeElement.id : "";
  if (event.detail.shouldSwap) stale.hidden = true;
});

// A button that is gone, because the work has ended, leaves the keyboard at the words that say so.
document.addEventListener("htmx:afterSettle", () => {
  if (held && document.activeElement === document.body) document.getElementById(`${part}-state`)?.focus();
  held = "";
});
