// The panel of instances, drawn from the templates of the page. Instances are text, never markup.

const SHOWN_CHARACTERS = 280;
const segmenter = new Intl.Segmenter(undefined, { granularity: "word" });

/** Put an empty panel into `host`; `say` tells how the search stands, with a button to repeat it where that helps. */
export function drawPanel(host, { retry }) {
  host.replaceChildren(document.getElementById("evidence-panel").content.cloneNode(true));
  const status = host.querySelector("[data-evidence-status]");
  const button = host.querySelector("[data-evidence-retry]");
  button.addEventListener("click", retry);
  return {
    host,
    say(words, { retry: offered = false } = {}) {
      // The same words again would be read out again.
      if (status.textContent !== words) status.textContent = words;
      button.hidden = !offered;
    },
  };
}

/** Show the instances with what was said of them; the callbacks hear of every change. */
export function fillPanel(panel, { instances, quote, verdicts, none, editable, judge, clear, setNone, opened }) {
  const { host } = panel;
  const noneBox = host.querySelector("[data-evidence-none]");
  const sharedBox = host.querySelector("[data-evidence-shared]");
  const shared = new Set(wordsOf(quote).map(({ word }) => word));
  const cards = instances.map((one) => card(one, instances.length, { opened }));

  panel.say(instances.length ? "" : "There are no instances to show.");
  host.querySelector("[data-evidence-list]").replaceChildren(...cards.map(({ element }) => element));
  host.querySelector("[data-evidence-body]").hidden = !instances.length;
  noneBox.checked = none;
  noneBox.disabled = !editable;
  for (const { one, radios } of cards) {
    for (const radio of radios) {
      radio.checked = verdicts.get(one.id) === radio.value;
      radio.disabled = !editable;
      radio.addEventListener("change", () => {
        judge(one.id, radio.value);
        if (radio.value === "borrowed" && noneBox.checked) untick();
      });
    }
  }

  function untick() {
    noneBox.checked = false;
    setNone(false);
    panel.say("“None of these” is unticked.");
  }

  noneBox.addEventListener("change", () => {
    setNone(noneBox.checked);
    const borrowed = cards.flatMap(({ one, radios }) => radios.filter((r) => r.checked && r.value === "borrowed").map((radio) => ({ one, radio })));
    if (!noneBox.checked || !borrowed.length) return;
    for (const { one, radio } of borrowed) {
      radio.checked = false;
      clear(one.id);
    }
    panel.say("What was judged borrowed is unmarked.");
  });
  const redraw = () => cards.forEach(({ draw }) => draw(sharedBox.checked ? shared : new Set()));
  sharedBox.addEventListener("change", redraw);
  redraw();
}

function card(one, total, { opened }) {
  const element = document.getElementById("evidence-instance").content.cloneNode(true).firstElementChild;
  const more = element.querySelector("[data-evidence-more]");
  const text = element.querySelector(".evidence-text");
  const parts = ["instruction", "answer"].map((name) => ({ node: element.querySelector(`.evidence-${name}`), text: one[name] }));
  const radios = [...element.querySelectorAll("input[type=radio]")];
  let whole = false;
  let marked = new Set();

  for (const radio of radios) radio.name = `evidence-${one.id}`;
  for (const place of element.querySelectorAll("[data-place]")) place.textContent = `${one.place} of ${total}`;
  text.id = `evidence-text-${one.place}`;
  more.setAttribute("aria-controls", text.id);
  more.hidden = parts.every((part) => excerpt(part.text) === part.text);
  more.addEventListener("click", () => {
    whole = !whole;
    if (whole) opened(one.id);
    more.setAttribute("aria-expanded", String(whole));
    more.firstElementChild.textContent = whole ? "Show less" : "Read it whole";
    draw(marked);
  });

  function draw(words) {
    marked = words;
    for (const part of parts) part.node.replaceChildren(...nodes(whole ? part.text : excerpt(part.text), words));
  }
  return { one, element, radios, draw };
}

/** The beginning of a text in one paragraph, cut at white space where there is some. */
function excerpt(text) {
  const flat = [...text.trim().replace(/\s+/gu, " ")];
  if (flat.length <= SHOWN_CHARACTERS) return flat.join("");
  const cut = flat.slice(0, SHOWN_CHARACTERS).join("");
  return `${/\s/u.test(cut) ? cut.replace(/\s+\S*$/u, "") : cut} …`;
}

/** Words as compared: without case and compatibility forms, each with its place in UTF-16 units. */
function wordsOf(text) {
  return Array.from(segmenter.segment(text))
    .filter(({ segment }) => /[\p{L}\p{N}]/u.test(segment))
    .map(({ segment, index }) => ({ word: segment.normalize("NFKC").toLowerCase(), start: index, end: index + segment.length }));
}

function nodes(text, shared) {
  const made = [];
  let at = 0;
  for (const { start, end } of shared.size ? wordsOf(text).filter(({ word }) => shared.has(word)) : []) {
    if (start > at) made.push(text.slice(at, start));
    const mark = document.createElement("mark");
    mark.className = "evidence-word";
    mark.textContent = text.slice(start, end);
    made.push(mark);
    at = end;
  }
  return [...made, text.slice(at)];
}
