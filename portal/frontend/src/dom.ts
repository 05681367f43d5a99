/** The element with this id, or null. */
export const byId = (id: string): HTMLElement | null => document.getElementById(id);

/** Listens on the document, so that swapped-in elements need no wiring. */
export function onClick(selector: string, handle: (target: HTMLElement, event: MouseEvent) => void) {
  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target.closest(selector) : null;
    if (target instanceof HTMLElement) handle(target, event);
  });
}

/** Whether the person wants a new tab or window: then the link stays a link. */
export const isModified = (event: MouseEvent): boolean =>
  event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;

/** Says a sentence through the page's live region. */
export function say(sentence: string) {
  const region = byId("live-region");
  if (region) region.textContent = sentence;
}

/** Whether keys typed now belong to a field. */
export function isTyping(): boolean {
  const element = document.activeElement;
  return (
    element instanceof HTMLInputElement ||
    element instanceof HTMLTextAreaElement ||
    element instanceof HTMLSelectElement ||
    (element instanceof HTMLElement && element.isContentEditable)
  );
}
