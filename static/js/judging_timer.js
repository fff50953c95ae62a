// Time on an item: wall time while the page is open, active time while it is visible, focused and used.

const IDLE_AFTER_MS = 30_000;
const TICK_MS = 1_000;
const SIGNS_OF_LIFE = ["pointerdown", "pointermove", "keydown", "wheel", "touchstart", "scroll"];

/** Count on from what earlier visits counted, in milliseconds. */
export function createTimer({ activeMs, wallMs }) {
  const opened = performance.now();
  let active = activeMs;
  let seen = opened;
  let used = opened;

  function tick() {
    const now = performance.now();
    const inUse = document.visibilityState === "visible" && document.hasFocus() && now - used < IDLE_AFTER_MS;
    // A sleeping computer or a throttled tab makes one long step, which was no work.
    if (inUse) active += Math.min(now - seen, 2 * TICK_MS);
    seen = now;
  }

  for (const sign of SIGNS_OF_LIFE) {
    addEventListener(sign, () => { used = performance.now(); }, { passive: true, capture: true });
  }
  setInterval(tick, TICK_MS);
  addEventListener("visibilitychange", tick);

  return () => {
    tick();
    const wall = wallMs + (performance.now() - opened);
    return { active_ms: Math.round(Math.min(active, wall)), wall_ms: Math.round(wall) };
  };
}
