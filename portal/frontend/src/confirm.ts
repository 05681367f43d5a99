// A destructive dialog asks to type a name; the server checks it too.
function check(input: HTMLInputElement) {
  const button = input.form?.querySelector<HTMLButtonElement>("button[type=submit]");
  if (button) button.disabled = input.value !== input.dataset.confirms;
}

function checkAll() {
  for (const input of document.querySelectorAll<HTMLInputElement>("input[data-confirms]")) check(input);
}

export function startConfirm() {
  document.addEventListener("input", (event) => {
    const input = event.target;
    if (input instanceof HTMLInputElement && input.dataset.confirms !== undefined) check(input);
  });
  // A second press must not send a form twice; a fresh page restores the button.
  document.addEventListener("submit", (event) => {
    const form = event.target as HTMLFormElement;
    if (form.method !== "post" || event.defaultPrevented) return;
    for (const button of form.querySelectorAll("button[type=submit]")) {
      setTimeout(() => ((button as HTMLButtonElement).disabled = true));
    }
  });
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    for (const button of document.querySelectorAll<HTMLButtonElement>("form[method=post] button[type=submit]")) {
      button.disabled = false;
    }
    checkAll();
  });
  document.addEventListener("htmx:after:swap", checkAll);
  checkAll();
}
