// The guidelines beside the work: docked, as wide as somebody likes, and marked as read once they were opened.

const STORE = "tuneshift-guide-width";
const NARROWEST = 280;
const STEP = 24;

/** Build the panel of `#guidelines`; returns `toggle`. */
export function createGuide(form) {
  const panel = document.getElementById("guidelines");
  const handle = panel.querySelector("[role=separator]");
  let seen = false;

  function widen(width) {
    const widest = Math.round(Math.min(720, innerWidth * 0.6));
    const fitting = Math.round(Math.max(NARROWEST, Math.min(widest, width)));
    form.style.setProperty("--guide-width", `${fitting}px`);
    handle.setAttribute("aria-valuenow", String(fitting));
    handle.setAttribute("aria-valuemax", String(widest));
    return fitting;
  }
  const keep = (width) => {
    try {
      localStorage.setItem(STORE, String(width));
    } catch {
      // Without storage the width lasts for this page.
    }
  };

  handle.addEventListener("pointerdown", (event) => {
    handle.setPointerCapture(event.pointerId);
    const move = (moved) => widen(innerWidth - moved.clientX);
    handle.addEventListener("pointermove", move);
    handle.addEventListener("pointerup", (end) => {
      handle.removeEventListener("pointermove", move);
      keep(widen(innerWidth - end.clientX));
    }, { once: true });
    event.preventDefault();
  });
  handle.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: STEP, ArrowRight: -STEP }[event.key];
    if (!by) return;
    event.preventDefault();
    keep(widen(panel.offsetWidth + by));
  });

  async function read() {
    const badge = document.querySelector("[data-guide-changed]");
    if (!badge || seen) return;
    seen = true;
    try {
      const body = new URLSearchParams({ version: panel.dataset.version });
      const reply = await fetch(panel.dataset.seen, { method: "POST", body, headers: { Accept: "application/json" } });
      seen = reply.ok;
    } catch {
      seen = false;
    }
    if (seen) for (const one of document.querySelectorAll("[data-guide-changed]")) one.remove();
  }

  let stored = null;
  try {
    stored = Number(localStorage.getItem(STORE));
  } catch {
    // The width it comes with will do.
  }
  widen(stored || 416);

  return function toggle() {
    panel.hidden = !panel.hidden;
    form.toggleAttribute("data-guide", !panel.hidden);
    for (const button of form.querySelectorAll("[aria-controls=guidelines]")) button.setAttribute("aria-expanded", String(!panel.hidden));
    if (!panel.hidden) read();
  };
}
