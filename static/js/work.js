// The generation page asks by itself how far a run is: only while its tab is seen, and without a heap of messages when
// the server is away for a moment.

const main = document.getElementById("main");
const stale = document.getElementById("generation-stale");
let held = "";

const asksByItself = (event) => event.target.id === "generation" && event.detail.requestConfig?.verb === "get";

document.addEventListener("htmx:beforeRequest", (event) => {
  if (asksByItself(event) && document.hidden) event.preventDefault();
});

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) window.htmx?.trigger("#generation", "refresh");
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
  if (event.detail.target?.id !== "generation") return;
  held = document.activeElement?.closest("#generation") ? document.activeElement.id : "";
  if (event.detail.shouldSwap) stale.hidden = true;
});

// A button that is gone, because the run has ended, leaves the keyboard at the words that say so.
document.addEventListener("htmx:afterSettle", () => {
  if (held && document.activeElement === document.body) document.getElementById("generation-state")?.focus();
  held = "";
});
