// The desk and what leads on from it: the one thing to do next has the focus, so Enter does it.

import { lastPassed } from "./judging_undo.js";

document.querySelector("[data-autofocus]")?.focus({ preventScroll: true });

// Submitting the last item leads here, and undo leads back to it as from any other.
document.addEventListener("keydown", (event) => {
  const undo = (event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === "z";
  if (!undo || event.target.matches("input, textarea, select")) return;
  const before = lastPassed();
  if (before) location.assign(`/judge/${before}#undo`);
});
