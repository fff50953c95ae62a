// How the two responses are looked at: formatted or raw, scrolled together, at full length, and one at a time on a phone.

/** Build the switches of one page; each of them is for both responses alike. */
export function createView(form, say) {
  const columns = form.querySelector(".judging-columns");
  const answers = [...form.querySelectorAll(".answer")];
  let leader = null;
  let rest = 0;

  function toggle(name, on, off) {
    const now = form.toggleAttribute(`data-${name}`);
    form.querySelector(`[data-act=${name}]`).setAttribute("aria-pressed", String(now));
    say(now ? on : off);
    return now;
  }

  function follow(from) {
    if (!form.hasAttribute("data-link") || (leader && leader !== from)) return;
    // What follows scrolls too, and must not lead in its turn.
    leader = from;
    clearTimeout(rest);
    rest = setTimeout(() => { leader = null; }, 120);
    const other = answers.find((answer) => answer !== from);
    const share = from.scrollTop / Math.max(1, from.scrollHeight - from.clientHeight);
    other.scrollTop = share * (other.scrollHeight - other.clientHeight);
  }
  for (const answer of answers) answer.addEventListener("scroll", () => follow(answer), { passive: true });

  /** Bring a side into view where only one fits. */
  function show(side) {
    columns.dataset.view = side;
    document.querySelector(`[name=view][value=${side}]`).checked = true;
    // Reading and marking measure what is in view.
    dispatchEvent(new Event("resize"));
  }
  document.addEventListener("change", (event) => {
    if (event.target.name === "view") show(event.target.value);
  });

  return {
    side: () => columns.dataset.view,
    show,
    reveal(place) {
      const side = place.closest("[data-side]")?.dataset.side;
      if (side && side !== columns.dataset.view) show(side);
    },
    raw: () => toggle("raw", "Both responses are shown as they were written.", "Both responses are shown formatted."),
    link() {
      if (toggle("link", "The responses scroll together.", "The responses scroll by themselves.")) follow(answers[0]);
    },
    full: () => toggle("full", "Both responses are shown at full length, equally high.", "Each response scrolls in its own box."),
    /** Scroll the responses a page on or back; false where the page itself has to scroll. */
    page(by, place) {
      const own = place.closest(".side")?.querySelector(".answer");
      const scrolled = (own ? [own] : answers).filter((answer) => answer.scrollHeight > answer.clientHeight + 1);
      for (const answer of scrolled) answer.scrollTop += by * answer.clientHeight * 0.85;
      return scrolled.length > 0;
    },
  };
}
