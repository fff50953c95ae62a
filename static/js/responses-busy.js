// Forms that ask models: say that it takes a while, and how long it has, and send nothing twice.

const TICK_MS = 1000;

function busy(form, button) {
  const said = form.querySelector("[data-busy]");
  const started = Date.now();
  form.setAttribute("aria-busy", "true");
  // After this event: a disabled button would not send its value.
  setTimeout(() => {
    for (const other of form.querySelectorAll('[type="submit"]')) other.disabled = true;
  });
  if (!said || button?.dataset.preview !== undefined) return;
  const tell = () => {
    said.textContent = `Reading… ${Math.round((Date.now() - started) / TICK_MS)} s`;
  };
  tell();
  form.timer = setInterval(tell, TICK_MS);
}

function settle(form) {
  clearInterval(form.timer);
  form.removeAttribute("aria-busy");
  for (const button of form.querySelectorAll('[type="submit"]')) button.disabled = false;
  const said = form.querySelector("[data-busy]");
  if (said) said.textContent = "";
}

/** Connect every such form of the page. */
export function connectBusy() {
  const forms = document.querySelectorAll("[data-readings]");
  for (const form of forms) {
    form.addEventListener("submit", (event) => {
      if (form.getAttribute("aria-busy")) event.preventDefault();
      else busy(form, event.submitter);
    });
  }
  // Coming back by the browser's own button shows the page as it was left: busy.
  addEventListener("pageshow", ({ persisted }) => persisted && forms.forEach(settle));
}
