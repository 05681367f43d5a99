import { byId, isModified, onClick } from "./dom";

let opener: HTMLElement | null = null;

/** A dialog's or drawer's address without the parameter that opens it. */
function closedUrl(parameter: string): string {
  const url = new URL(location.href);
  url.searchParams.delete(parameter);
  return url.pathname + url.search;
}

function openDialog(dialog: HTMLDialogElement) {
  if (dialog.open) dialog.close();
  dialog.showModal();
  // What went wrong comes first, else the first thing to fill in.
  const first = dialog.querySelector<HTMLElement>(
    "[role=alert], form input:not([type=hidden]), form select, form textarea",
  );
  first?.focus();
}

/** The server renders `open` for `?dialog=`; with a script the dialog also becomes modal. */
function upgradeDialogs() {
  for (const dialog of document.querySelectorAll<HTMLDialogElement>("dialog[data-dialog][open]")) {
    if (!dialog.matches(":modal")) openDialog(dialog);
  }
}

function closePeek() {
  const drawer = byId("peek");
  if (!drawer?.firstElementChild) return false;
  drawer.replaceChildren();
  history.pushState(null, "", closedUrl("peek"));
  for (const row of document.querySelectorAll("[data-row][aria-current]")) {
    row.removeAttribute("aria-current");
  }
  opener?.focus();
  return true;
}

/** Opens the row's address in the drawer; the address becomes the page's own. */
export async function peek(link: HTMLAnchorElement) {
  opener = link;
  for (const row of document.querySelectorAll("[data-row][aria-current]")) {
    row.removeAttribute("aria-current");
  }
  link.closest("[data-row]")?.setAttribute("aria-current", "true");
  await htmx.ajax("GET", link.href, { target: "#peek", swap: "innerHTML", push: "true", source: link });
  byId("peek")?.querySelector<HTMLElement>("h2")?.focus();
}

export function startOverlays() {
  onClick("a[data-opens]", (link, event) => {
    const dialog = byId(link.dataset.opens ?? "");
    if (isModified(event) || !(dialog instanceof HTMLDialogElement)) return;
    event.preventDefault();
    opener = link;
    openDialog(dialog);
  });
  onClick("[data-closes]", (control, event) => {
    const dialog = control.closest("dialog");
    if (!dialog) return;
    event.preventDefault();
    dialog.close();
  });
  onClick("a[data-peek]", (link, event) => {
    if (isModified(event) || !byId("peek")) return;
    event.preventDefault();
    void peek(link as HTMLAnchorElement);
  });
  onClick("[data-closes-peek]", (_, event) => {
    event.preventDefault();
    closePeek();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !document.querySelector("dialog:modal") && closePeek()) {
      event.preventDefault();
    }
  });
  document.addEventListener(
    "close",
    (event) => {
      if (!(event.target as Element).matches("dialog[data-dialog]")) return;
      history.replaceState(null, "", closedUrl("dialog"));
      opener?.focus();
    },
    true,
  );
  document.addEventListener("htmx:after:swap", upgradeDialogs);
  upgradeDialogs();
}
