import { execFileSync } from 'child_process';
import { readdirSync, readFileSync, statSync } from 'fs';
import { dirname, join, relative, resolve } from 'path';

const ROOT = resolve(__dirname, '../../..');
const SOURCES = resolve(__dirname, '..');
const SCRIPTS: Record<string, string> = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).scripts;

const VIEWS = ['panel', 'notebook', 'run', 'finetune', 'playground', 'status'];

/** What lies together does not know of each other, and each knows only what lies before it. */
const ORDER = [['api'], ['domain'], ['state'], ['components'], ['main'], VIEWS, ['index']];

const MAX_LINES = 300;

/** Made by `jlpm types`. */
const GENERATED = 'api/openapi.ts';

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

/** The modules of ours that each one imports with statements that look like this. */
function importsBy(statement: RegExp): Map<string, string[]> {
  return new Map(
    modules().map(path => {
      const text = readFileSync(join(SOURCES, path), 'utf8');
      const found = [...text.matchAll(statement)].map(([, name]) =>
        relative(SOURCES, resolve(SOURCES, dirname(path), name))
      );
      return [named(path), found.filter(name => !name.startsWith('..'))];
    })
  );
}

const IMPORTS = importsBy(/^(?:import|export)\b[^;]*?'(\.[^']+)';/gm);
/** Without those of types alone, of which nothing is left when the program runs. */
const VALUES = importsBy(/^(?:import|export)\b(?! type)[^;]*?'(\.[^']+)';/gm);

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

  it('draw with JupyterLab’s start the status bar alone; what else people look at is loaded when it is first seen', () => {
    const reached = new Set(['index']);
    for (const module of reached) {
      VALUES.get(module)?.forEach(other => reached.add(other));
    }
    const drawing = modules().filter(path => VIEWS.includes(roomOf(path)) && path.endsWith('.tsx'));
    expect(drawing.length).toBeGreaterThan(20);
    expect(drawing.filter(path => reached.has(named(path)))).toEqual(['status/item.tsx']);
  });

  it.each(modules().filter(path => path !== GENERATED))('%s is short', path => {
    const lines = readFileSync(join(SOURCES, path), 'utf8').split('\n').length - 1;
    expect(lines).toBeLessThanOrEqual(MAX_LINES);
  });

  it('has the types that openapi.yaml describes; else run `jlpm types`', () => {
    const [, ...options] = SCRIPTS.types.split(' ');
    const program = resolve(ROOT, 'node_modules/openapi-typescript/bin/cli.js');
    execFileSync(process.execPath, [program, ...options, '--check'], { cwd: ROOT });
  });
});
