import { byId, onClick, say } from "./dom";

async function write(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without a secure context there is no clipboard: the text is selected for the person.
    return false;
  }
}

function select(element: HTMLElement) {
  const range = document.createRange();
  range.selectNodeContents(element);
  getSelection()?.removeAllRanges();
  getSelection()?.addRange(range);
}

function flash(button: HTMLElement, words: string) {
  const label = button.querySelector("[data-label]");
  if (!label) return;
  const before = label.textContent;
  label.textContent = words;
  setTimeout(() => (label.textContent = before), 1600);
}

export function startCopy() {
  onClick("button[data-copies]", async (button) => {
    const source = byId(button.dataset.copies ?? "");
    if (!source) return;
    const done = await write(source.textContent?.trim() ?? "");
    if (!done) select(source);
    flash(button, done ? "Copied" : "Selected");
    say(done ? "Copied." : "Selected. Press Ctrl C to copy.");
  });
  onClick("button[data-copies-link]", async (button) => {
    const url = new URL(button.dataset.copiesLink ?? "", location.href).href;
    const done = await write(url);
    flash(button, done ? "Copied" : "Not copied");
    say(done ? "Link copied." : "This browser keeps the clipboard closed here.");
  });
}
