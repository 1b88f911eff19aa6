import * as React from 'react';

/** One of several things to look at. */
export interface ITab {
  readonly id: string;
  readonly title: string;
  /** Called while it is looked at. */
  readonly body: () => JSX.Element;
}

interface ITabsProps {
  readonly label: string;
  readonly tabs: ReadonlyArray<ITab>;
}

/** Tabs as the ARIA practices have them: one of them takes part in the order of Tab, the arrows go to the others. */
export function Tabs({ label, tabs }: ITabsProps): JSX.Element {
  const [chosen, choose] = React.useState(tabs[0].id);
  const prefix = React.useId();
  const list = React.useRef<HTMLDivElement>(null);
  const place = Math.max(
    0,
    tabs.findIndex(({ id }) => id === chosen)
  );
  const goTo = (index: number) => {
    const to = (index + tabs.length) % tabs.length;
    choose(tabs[to].id);
    list.current?.querySelectorAll<HTMLElement>('[role=tab]')[to]?.focus();
  };
  const onKeyDown = (event: React.KeyboardEvent) => {
    const to = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      goTo(to);
    }
  };
  return (
    <>
      <div ref={list} className="jp-Qwen3ft-tabs" role="tablist" aria-label={label} onKeyDown={onKeyDown}>
        {tabs.map(({ id, title }) => (
          <button
            key={id}
            type="button"
            role="tab"
            id={`${prefix}${id}`}
            aria-controls={`${prefix}body`}
            aria-selected={id === chosen}
            tabIndex={id === chosen ? 0 : -1}
            onClick={() => choose(id)}
          >
            {title}
          </button>
        ))}
      </div>
      <div
        id={`${prefix}body`}
        className="jp-Qwen3ft-tabBody"
        role="tabpanel"
        aria-labelledby={`${prefix}${tabs[place].id}`}
        tabIndex={-1}
      >
        {tabs[place].body()}
      </div>
    </>
  );
}
