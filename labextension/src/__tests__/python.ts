/** The Python side, as text: what it says has to have words here. */

import { readdirSync, readFileSync, statSync } from 'fs';
import { join, resolve } from 'path';

/** The folder of the Python package. */
export const PACKAGE = resolve(__dirname, '../../../qwen3ft_jupyter');

/** Every module in one text, wherever it lies. */
export const PYTHON = pythonFiles(PACKAGE)
  .map(path => readFileSync(path, 'utf8'))
  .join('\n');

function pythonFiles(folder: string): string[] {
  return readdirSync(folder).flatMap(name => {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) {
      return pythonFiles(path);
    }
    return name.endsWith('.py') ? [path] : [];
  });
}
