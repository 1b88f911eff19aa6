import * as React from 'react';

import { Markdown as Drawn } from '../components/markdown';
import { usePlayground } from './context';
import { plainMarkdown } from './markup';

/** What a model wrote, in Markdown: JupyterLab's sanitizer stands behind our own escaping. */
export function Markdown({ source }: { readonly source: string }): JSX.Element {
  const { rendermime } = usePlayground();
  return <Drawn rendermime={rendermime} source={plainMarkdown(source)} />;
}
