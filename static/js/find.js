// Keep what is empty out of the address of a search, so that a shared link says only what was asked.

const form = document.querySelector("[data-find-form]");

function fieldsToLeaveOut() {
  const filters = [...form.querySelectorAll(".find-filter")].filter(
    (row) => ![...row.querySelectorAll("input")].some((input) => input.value.trim()),
  );
  const within = filters.flatMap((row) => [...row.querySelectorAll("select, input")]);
  const alone = [...form.elements].filter((field) => field.name && !field.value && !field.closest(".find-filter"));
  return [...within, ...alone];
}

form?.addEventListener("submit", () => {
  for (const field of fieldsToLeaveOut()) field.disabled = true;
});

// The browser shows this page again as it left it, fields disabled, when somebody goes back.
addEventListener("pageshow", () => {
  for (const field of form?.elements ?? []) field.disabled = false;
});
