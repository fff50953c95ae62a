// Keeping an item reserved while somebody reads it: saving does so by itself, reading does not.

const SHORTEST_MS = 10_000;
const USED = ["pointermove", "pointerdown", "keydown", "scroll"];

/** Renew the lease three times in its length, as long as the page is in view and was used since the last time. */
export function keepLease(token, seconds) {
  if (!seconds) return;
  let used = false;
  for (const kind of USED) addEventListener(kind, () => { used = true; }, { capture: true, passive: true });
  setInterval(() => {
    if (!used || document.visibilityState === "hidden") return;
    used = false;
    // A lease that is gone is said when the answer is saved; nothing is lost by not knowing earlier.
    fetch(`/judge/${token}/heartbeat`, { method: "POST" }).catch(() => {});
  }, Math.max(SHORTEST_MS, (seconds * 1000) / 3));
}
