// The exclusions of a study: a preview that arrives is gone to, because on a narrow page it stands below all rules.

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target.id === "preview") document.querySelector("#preview [data-preview]")?.focus();
});
