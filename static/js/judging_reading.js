// How far each response was read. The preference opens when both were in view to their end once.

const NEAR_END_PX = 16;
const LETTERS = { left: "A", right: "B" };

/** `saved` is what earlier visits measured, `wall` the time on the item in ms; `free` leaves the preference open. */
export function createReading({ form, saved, wall, free, reveal, say }) {
  const answers = [...form.querySelectorAll(".answer")];
  const bar = form.querySelector(".judging-bar");
  const row = form.querySelector("[data-preference]");
  const note = document.getElementById("reading-note");
  const depth = { left: saved.left ?? 0, right: saved.right ?? 0 };
  const seen = new Set();
  let firstView = saved.first_view_ms ?? null;

  const unread = () => Object.keys(depth).filter((side) => depth[side] < 1);

  function measure() {
    for (const answer of answers) {
      const box = answer.getBoundingClientRect();
      // The bar may cover the end of the page, and what is under it was not read.
      const floor = Math.min(innerHeight, bar.getBoundingClientRect().top);
      const shown = Math.min(box.bottom, floor) - box.top;
      if (!box.height || shown <= 0) continue;
      const { side } = answer.dataset;
      seen.add(side);
      const read = answer.scrollTop + shown + NEAR_END_PX >= answer.scrollHeight ? 1 : (answer.scrollTop + shown) / answer.scrollHeight;
      depth[side] = Math.max(depth[side], Math.min(1, read));
    }
    if (firstView === null && seen.size === answers.length) firstView = wall();
    lock();
  }

  function lock() {
    const locked = !free && unread().length > 0;
    row.toggleAttribute("data-locked", locked);
    if (!locked) note.hidden = true;
  }

  row.addEventListener("click", (event) => {
    if (!event.target.matches("input") || event.target.value === "cannot_judge") return;
    if (!row.hasAttribute("data-locked")) return;
    event.preventDefault();
    if (!note.hidden) return;
    note.hidden = false;
    const letters = unread().map((side) => LETTERS[side]).join(" and ");
    note.querySelector("span").textContent = `Please read ${letters} to the end first.`;
    say(note.querySelector("span").textContent);
  }, { capture: true });
  note.querySelector("button").addEventListener("click", () => {
    const answer = answers.find((one) => one.dataset.side === unread()[0]);
    if (!answer) return;
    reveal(answer);
    answer.focus({ preventScroll: true });
    const before = answer.scrollTop;
    answer.scrollTop += answer.clientHeight * 0.85;
    if (answer.scrollTop === before) scrollBy(0, innerHeight * 0.5);
  });

  // A scroll is told of a frame late; before a key or a finger can choose, what is in view has been measured.
  for (const kind of ["scroll", "resize", "keydown", "pointerdown"]) addEventListener(kind, measure, { capture: true, passive: true });
  document.addEventListener("visibilitychange", measure);
  requestAnimationFrame(measure);

  const round = (share) => Math.round(share * 1000) / 1000;
  return () => ({
    left: round(depth.left),
    right: round(depth.right),
    ...(firstView === null ? {} : { first_view_ms: Math.round(firstView) }),
  });
}
