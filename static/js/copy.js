// A button that copies the text of the element it names, and says so.

import { toast } from "./toast.js";

const CHECKED_MS = 1500;

for (const button of document.querySelectorAll("[data-copy]")) button.hidden = !navigator.clipboard;
document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  } catch {
    toast("The browser did not allow copying. Select the text instead.", "error");
    return;
  }
  const label = button.firstChild;
  label.textContent = "Copied";
  setTimeout(() => (label.textContent = "Copy"), CHECKED_MS);
});
