// The shell: theme switch, menus, toasts, and what htmx does with errors. Features bring their own modules.
// Import `toast.js`, never this file: its listeners must be added once.

import { forgetAll } from "./judging_outbox.js";
import { toast } from "./toast.js";

const root = document.documentElement;

function currentTheme() {
  return root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

for (const button of document.querySelectorAll("[data-theme-toggle]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const next = currentTheme() === "dark" ? "light" : "dark";
    root.dataset.theme = next;
    try {
      localStorage.setItem("tuneshift-theme", next);
    } catch {
      // Without storage the choice lasts for this page.
    }
  });
}

// An open menu closes on Escape and on a click elsewhere, as people expect of menus.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
  event.target.closest?.("[data-toast-close]")?.closest("[data-toast]")?.remove();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// Our own error answers name where they belong; anything else (a proxy's page, say) must not land in the page.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr } = event.detail;
  if (xhr.status >= 400 && xhr.getResponseHeader("HX-Retarget")) event.detail.shouldSwap = true;
});
document.addEventListener("htmx:responseError", (event) => {
  const { xhr } = event.detail;
  if (xhr.getResponseHeader("HX-Retarget") || xhr.getResponseHeader("HX-Redirect")) return;
  toast(`The server answered ${xhr.status}. Nothing was changed; please try again.`, "error");
});
document.addEventListener("htmx:sendError", () => {
  toast("The server could not be reached. Check the connection and try again.", "error");
});

// Whoever signs out leaves no work behind in this browser; a page with unsaved work stops this until it is safe.
document.addEventListener("submit", (event) => {
  if (event.target.getAttribute("action") === "/logout" && !event.defaultPrevented) forgetAll();
});
