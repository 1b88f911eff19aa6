/** Whether an element is in sight; what is scrolled away, or in a view that is hidden, is not. */
export class Sight {
  /**
   * @param node - The element. Until the browser has told of it, it is taken to be in sight.
   * @param onSeen - Called when it comes into sight again.
   */
  constructor(node: Element, onSeen: () => void = () => undefined) {
    this._observer = new IntersectionObserver(entries => {
      const wasSeen = this._isSeen;
      this._isSeen = entries[entries.length - 1].isIntersecting;
      if (this._isSeen && !wasSeen) {
        onSeen();
      }
    });
    this._observer.observe(node);
  }

  /** Whether it is in sight now. */
  get isSeen(): boolean {
    return this._isSeen;
  }

  /** Look no more. */
  dispose(): void {
    this._observer.disconnect();
  }

  private _isSeen = true;
  private readonly _observer: IntersectionObserver;
}
