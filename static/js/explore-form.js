// The prompt form: Ctrl+Enter sends it, and the folded settings say what they are.

function form() {
  return document.querySelector("[data-ask]");
}

function describe() {
  const fields = form()?.elements;
  const words = form()?.querySelector("[data-more-words]");
  if (!words) return;
  const temperature = fields.temperature.value.trim();
  const drawn = Number(temperature) === 0 ? "greedy" : `temperature ${temperature}, seed ${fields.seed.value.trim()}`;
  const base = form().querySelector('[name="base_prompt"]:checked')?.closest("label").querySelector("span");
  words.textContent = `${drawn} · ${fields.max_tokens.value.trim()} tokens · base reads: ${base?.firstChild.textContent.trim().toLowerCase() ?? ""}`;
}

document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.target.form !== form()) return;
  event.preventDefault();
  form().requestSubmit();
});
document.addEventListener("input", describe);
document.addEventListener("htmx:afterSwap", describe);
describe();
