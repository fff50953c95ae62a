// A file that is too large is refused before it is sent: a server that hangs up on an upload cannot say why.

for (const input of document.querySelectorAll("input[type=file][data-max-bytes]")) {
  input.addEventListener("change", () => {
    const file = input.files[0];
    const tooLarge = file && file.size > Number(input.dataset.maxBytes);
    input.setCustomValidity(tooLarge ? `This file is larger than the ${input.dataset.limit} this server accepts.` : "");
    input.reportValidity();
  });
}
