// The share menu: copy the link of the page as it is shown, thresholds and pins included.

import { toast } from "./toast.js";

for (const button of document.querySelectorAll("[data-copy-link]")) button.hidden = !navigator.clipboard;

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy-link]");
  if (!button) return;
  const link = new URL(button.dataset.copyLink, location.href);
  // How the page is shown is in its address; on a page of another address the plain link is right.
  if (link.pathname === location.pathname) link.search = location.search;
  button.closest("details").open = false;
  try {
    await navigator.clipboard.writeText(link.href);
    toast("Link copied.");
  } catch {
    toast(`The browser did not allow it. The link is ${link.href}`, "warn");
  }
});
