// Signing in again where the work is: the dialog leaves the page as it stands, and saving goes on after it.

const WRONG = { 422: "That e-mail address and password do not belong together.", 429: "Too many attempts. Wait a minute, then try again." };

/** Build `ask(then)`: it opens the dialog, and calls `then` once the server knows the person again. */
export function createLogin() {
  const dialog = document.getElementById("login-dialog");
  const form = dialog.querySelector("form");
  const problem = document.getElementById("login-problem");
  let after = null;

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.textContent = "";
    const status = await signIn(new URLSearchParams(new FormData(form)));
    if (status !== "ok") {
      problem.textContent = WRONG[status] ?? "The server cannot be reached. Your work is kept; try again in a moment.";
      form.elements.password.select();
      return;
    }
    dialog.close();
    after?.();
  });
  form.addEventListener("click", (event) => {
    if (event.target.value === "later") dialog.close();
  });
  dialog.addEventListener("close", () => { form.elements.password.value = ""; });

  return (then) => {
    after = then;
    if (dialog.open) return;
    problem.textContent = "";
    dialog.showModal();
    form.elements.password.focus();
  };
}

async function signIn(body) {
  try {
    // Where sign-in would lead on to is no business of this page.
    const response = await fetch("/login", { method: "POST", body, redirect: "manual" });
    return response.type === "opaqueredirect" ? "ok" : response.status;
  } catch {
    return 0;
  }
}
