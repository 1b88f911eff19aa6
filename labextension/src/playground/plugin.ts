/** The command that opens a playground; its code is loaded when the first one is seen. */

import type { ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import type { ICommandPalette } from '@jupyterlab/apputils';
import { Notification } from '@jupyterlab/apputils';
import type { ILauncher } from '@jupyterlab/launcher';
import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import type { ServiceManager } from '@jupyterlab/services';
import { KernelAPI } from '@jupyterlab/services';

import type { IApp } from '../components/context';
import { qwen3ftIcon } from '../components/icons';
import { CommandIDs } from '../domain/commands';
import { MainViews } from '../main/views';
import type { PlaygroundArgs } from './args';
import { readArgs } from './args';
import { labelOf, tunedChoices } from './choices';
import { endKernel } from './kernels';

/** What the application has for playgrounds. */
export interface IPlaces {
  readonly rendermime: IRenderMimeRegistry;
  readonly restorer: ILayoutRestorer | null;
  readonly palette: ICommandPalette | null;
  readonly launcher: ILauncher | null;
}

/** Add the command; open playgrounds come back with the layout, and find their kernels again. */
export function addPlayground(app: JupyterFrontEnd, context: IApp, places: IPlaces): void {
  const { trans } = context;
  const title = (label: string): string =>
    label === '' ? trans.__('Playground') : trans.__('Playground: %1', shortName(label));
  const views = new MainViews<PlaygroundArgs>({
    app: { shell: app.shell, context },
    restorer: places.restorer,
    command: CommandIDs.openPlayground,
    id: 'qwen3ft-playground',
    icon: qwen3ftIcon,
    keyOf: args => args.key,
    title: ({ model, adapter, label }) =>
      title(label || labelOf({ model, adapter }, tunedChoices(context.store.snapshot.jobs))),
    load: async (args, view) => {
      const { openPlayground } = await import('./view');
      const { serviceManager: services } = app;
      return openPlayground({
        context,
        services,
        rendermime: places.rendermime,
        args,
        keep: view.keep,
        setTitle: label => view.setTitle(title(label))
      });
    },
    onClose: args => {
      if (args.kernel !== '') {
        void endOf(app.serviceManager, args.kernel, context);
      }
    }
  });
  app.commands.addCommand(CommandIDs.openPlayground, {
    label: args =>
      args.isPalette === true ? trans.__('Open a Qwen3 Playground') : trans.__('Qwen3 Playground'),
    caption: trans.__('Talk to a model, or to a fine-tune beside what it began with'),
    icon: qwen3ftIcon,
    describedBy: {
      args: {
        type: 'object',
        properties: {
          model: { type: 'string', description: 'The model, for example Qwen/Qwen3-0.6B.' },
          adapter: { type: 'string', description: 'A fine-tune: the id of its job, or its folder.' }
        }
      }
    },
    execute: args => views.open(readArgs(args))
  });
  const category = trans.__('Qwen3');
  places.palette?.addItem({ command: CommandIDs.openPlayground, category, args: { isPalette: true } });
  places.launcher?.add({ command: CommandIDs.openPlayground, category, rank: 2 });
}

/** Let its memory be free; one that cannot be reached is told. */
async function endOf({ kernels, serverSettings }: ServiceManager.IManager, id: string, { trans }: IApp) {
  if (!(await endKernel(kernels, each => KernelAPI.getKernelModel(each, serverSettings), id))) {
    Notification.warning(
      trans.__(
        'The kernel of a playground that was closed may still run: the server did not answer. End it under Running Terminals and Kernels.'
      ),
      { autoClose: false }
    );
  }
}

/** A tab has room for what tells a model or a fine-tune from others. */
function shortName(label: string): string {
  const [name] = label.split(' · ');
  return name.slice(name.lastIndexOf('/') + 1);
}
