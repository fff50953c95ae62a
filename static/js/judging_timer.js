// Time on an item: wall time while the page is open, active time while it is visible, focused and used.

const IDLE_AFTER_MS = 30_000;
const TICK_MS = 1_000;
// What the server takes; a page that stayed open for months is no reason to refuse its answer.
const LONGEST_MS = 1e10;
const SIGNS_OF_LIFE = ["pointerdown", "pointermove", "keydown", "wheel", "touchstart", "scroll"];

/** Count on from what earlier visits counted, in milliseconds; `onActive(listener)` tells of each active stretch. */
export function createTimer({ activeMs, wallMs }) {
  const opened = performance.now();
  const listeners = [];
  let active = activeMs;
  let seen = opened;
  let used = opened;

  function tick() {
    const now = performance.now();
    const inUse = document.visibilityState === "visible" && document.hasFocus() && now - used < IDLE_AFTER_MS;
    // A sleeping computer or a throttled tab makes one long step, which was no work.
    const stretch = inUse ? Math.min(now - seen, 2 * TICK_MS) : 0;
    seen = now;
    active += stretch;
    if (stretch) for (const listener of listeners) listener(stretch);
  }

  for (const sign of SIGNS_OF_LIFE) {
    addEventListener(sign, () => { used = performance.now(); }, { passive: true, capture: true });
  }
  setInterval(tick, TICK_MS);
  addEventListener("visibilitychange", tick);

  const wall = () => Math.min(LONGEST_MS, wallMs + (performance.now() - opened));
  return {
    wall,
    onActive: (listener) => listeners.push(listener),
    spent() {
      tick();
      return { active_ms: Math.round(Math.min(active, wall())), wall_ms: Math.round(wall()) };
    },
  };
}
