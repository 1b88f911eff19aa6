import { readdirSync, readFileSync, statSync } from 'fs';
import { dirname, join, relative, resolve } from 'path';

const SOURCES = resolve(__dirname, '..');

/** What lies together does not know of each other, and each knows only what lies before it. */
const ORDER = [['api'], ['domain'], ['state'], ['components'], ['panel', 'main', 'notebook'], ['index']];

/** Every module but the tests, by its path below the sources without its ending. */
function modules(folder = SOURCES): string[] {
  return readdirSync(folder).flatMap(name => {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) {
      return name === '__tests__' ? [] : modules(path);
    }
    return /(?<!\.d)\.tsx?$/.test(name) ? [relative(SOURCES, path)] : [];
  });
}

const named = (path: string) => path.replace(/\.tsx?$/, '');
const roomOf = (module: string) => module.split('/')[0];
const levelOf = (module: string) => ORDER.findIndex(rooms => rooms.includes(roomOf(module)));

/** The modules of ours that each one imports, as a value or as a type. */
const IMPORTS = new Map(
  modules().map(path => {
    const text = readFileSync(join(SOURCES, path), 'utf8');
    const found = [...text.matchAll(/^(?:import|export)\b[^;]*?'(\.[^']+)';/gm)].map(([, name]) =>
      relative(SOURCES, resolve(SOURCES, dirname(path), name))
    );
    return [named(path), found.filter(name => !name.startsWith('..'))];
  })
);

describe('the modules', () => {
  it('are all in a room', () => {
    expect(IMPORTS.size).toBeGreaterThan(30);
    expect([...IMPORTS.keys()].filter(module => levelOf(module) < 0)).toEqual([]);
  });

  it('import only what lies before their room, or in it', () => {
    const wrong = [...IMPORTS].flatMap(([module, found]) =>
      found
        .filter(other => roomOf(other) !== roomOf(module) && levelOf(other) >= levelOf(module))
        .map(other => `${module} → ${other}`)
    );
    expect(wrong).toEqual([]);
  });

  it('do not import each other in circles', () => {
    const left = new Map(IMPORTS);
    const isFree = (found: ReadonlyArray<string>) => found.every(other => !left.has(other));
    let free: string[];
    do {
      free = [...left].filter(([, found]) => isFree(found)).map(([module]) => module);
      free.forEach(module => left.delete(module));
    } while (free.length > 0);
    expect([...left.keys()]).toEqual([]);
  });
});
