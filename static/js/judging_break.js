// A word about a break after a while of real work, once, and easy to put away.

const AFTER_MS = 25 * 60_000;
const REST_MS = 5 * 60_000;
const STORE = "tuneshift-sitting";

/** Count active time over all items of a sitting; `onActive(listener)` tells of each stretch in ms. */
export function watchForBreak(onActive) {
  const hint = document.getElementById("break-hint");
  let { ms, at } = load();

  onActive((stretch) => {
    const now = Date.now();
    // Whoever was away for a while had their break.
    ms = now - at > REST_MS ? stretch : ms + stretch;
    at = now;
    save({ ms, at });
    if (ms >= AFTER_MS) hint.hidden = false;
  });
  hint.querySelector("button").addEventListener("click", () => {
    ms = 0;
    save({ ms, at });
    hint.hidden = true;
  });
}

function load() {
  try {
    return JSON.parse(sessionStorage.getItem(STORE)) ?? { ms: 0, at: 0 };
  } catch {
    return { ms: 0, at: 0 };
  }
}

function save(sitting) {
  try {
    sessionStorage.setItem(STORE, JSON.stringify(sitting));
  } catch {
    // Without storage a sitting is as long as its page.
  }
}
