// Two versions of one answer side by side, when another tab saved in between: nothing is overwritten in silence.

const LETTERS = { left: "A", right: "B" };
const PREFERENCES = { left: "A is better", right: "B is better", tie_good: "both good", tie_bad: "both bad", cannot_judge: "cannot judge" };
const STRENGTHS = { 1: "slightly", 2: "clearly", 3: "much" };
const NOTHING = "–";

/** Build `compare(mine, theirs, ways)`: a dialog with both versions; `ways` are what the two buttons do. */
export function createCompare({ questions, types, words }) {
  const dialog = document.getElementById("compare-dialog");
  const body = dialog.querySelector("tbody");
  let ways = {};

  dialog.addEventListener("click", (event) => {
    const way = ways[event.target.value];
    if (!way) return;
    dialog.close();
    way();
  });

  return (mine, theirs, chosen) => {
    ways = chosen;
    document.getElementById("compare-other").textContent = words(theirs);
    const [own, other] = [lines(mine), lines(theirs.answer)];
    const rows = own.map(([name, value], at) => [name, value, other[at][1]]).filter(([, one, two]) => one !== NOTHING || two !== NOTHING);
    body.replaceChildren(...rows.map(row));
    dialog.showModal();
  };

  /** Everything an answer says, as [what, in words], in page order. */
  function lines(answer) {
    const found = [];
    for (const [side, letter] of Object.entries(LETTERS)) {
      for (const { name, title } of questions.dimensions) found.push([`${title} of ${letter}`, answer.ratings[side]?.[name]]);
      if (questions.acceptability) found.push([`${letter} acceptable`, { true: "yes", false: "no" }[answer.acceptability?.[side]]]);
    }
    for (const [side, letter] of Object.entries(LETTERS)) {
      const marks = (answer.spans ?? []).filter((span) => span.side === side);
      found.push([`Marked in ${letter}`, marks.map((span) => `“${span.quote}” (${span.severity}, ${types[span.type]}${span.note ? `: ${span.note}` : ""})`).join("\n")]);
    }
    found.push(
      ["Preference", PREFERENCES[answer.preference]],
      ["By how much", STRENGTHS[answer.strength]],
      ["Why not judged", answer.skip_reason],
      ["Comment", answer.comment],
      ["Flagged", answer.flagged ? "yes" : ""],
      ["Recognised a model", answer.recognised_model ? answer.recognised_guess || "yes" : ""],
    );
    return found.map(([name, value]) => [name, value === undefined || value === null || value === "" ? NOTHING : String(value)]);
  }
}

function row([name, mine, theirs]) {
  const line = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  head.textContent = name;
  const cells = [mine, theirs].map((words) => {
    const cell = document.createElement("td");
    cell.textContent = words;
    return cell;
  });
  line.append(head, ...cells);
  if (mine !== theirs) {
    line.dataset.differs = "";
    const badge = document.createElement("span");
    badge.className = "badge badge-warn";
    badge.textContent = "differs";
    head.append(" ", badge);
  }
  return line;
}
