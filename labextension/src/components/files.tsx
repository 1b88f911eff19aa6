import * as React from 'react';

import { formatBytes } from '../domain/format';
import { useApp } from './context';

interface IFile {
  readonly path: string;
  /** In bytes. */
  readonly size: number;
}

interface IFileTableProps<File extends IFile> {
  readonly label: string;
  readonly files: ReadonlyArray<File>;
  /** What the last column is about. */
  readonly title: string;
  /** What it says of a file. */
  readonly cell: (file: File) => React.ReactNode;
}

/** Files with their sizes and one thing more; it scrolls by itself, also with the keyboard. */
export function FileTable<File extends IFile>({
  label,
  files,
  title,
  cell
}: IFileTableProps<File>): JSX.Element {
  const { trans, locale } = useApp();
  return (
    <div className="jp-Qwen3ft-files" tabIndex={0} role="region" aria-label={label}>
      <table>
        <thead>
          <tr>
            <th scope="col">{trans.__('File')}</th>
            <th scope="col">{trans.__('Size')}</th>
            <th scope="col">{title}</th>
          </tr>
        </thead>
        <tbody>
          {files.map(file => (
            <tr key={file.path}>
              <td>{file.path}</td>
              <td>{formatBytes(file.size, locale)}</td>
              <td>{cell(file)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
