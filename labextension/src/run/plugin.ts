/** The command that opens the run of a fine-tune; the view's code is loaded when the first one is seen. */

import type { ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';

import { text } from '../api/read';
import type { IApp } from '../components/context';
import { qwen3ftIcon } from '../components/icons';
import { CommandIDs } from '../domain/commands';
import { MainViews } from '../main/views';

/** What tells a run from others, and finds it again when its job is forgotten. */
type RunArgs = { job_id: string; folder: string };

/** Add the command; open views come back with the layout. */
export function addRunViews(app: JupyterFrontEnd, context: IApp, restorer: ILayoutRestorer | null): void {
  const { trans } = context;
  const views = new MainViews<RunArgs>({
    app: { shell: app.shell, context },
    restorer,
    command: CommandIDs.openRun,
    id: 'qwen3ft-run',
    icon: qwen3ftIcon,
    keyOf: args => args.job_id,
    title: args => trans.__('Run %1', args.job_id),
    load: async (args, view) => {
      const { openRun } = await import('./view');
      return openRun(context, args.job_id, {
        folder: args.folder,
        setTitle: view.setTitle,
        keepFolder: folder => view.keep({ ...args, folder })
      });
    }
  });
  app.commands.addCommand(CommandIDs.openRun, {
    label: trans.__('Open the Run of a Fine-tune'),
    caption: trans.__('Show its curves, report, config and log, and what can be done with its result'),
    icon: qwen3ftIcon,
    describedBy: {
      args: {
        type: 'object',
        properties: {
          job_id: { type: 'string', description: 'The id of the job.' },
          folder: { type: 'string', description: 'Its output folder, by which a forgotten one is found.' }
        },
        required: ['job_id']
      }
    },
    isEnabled: args => text(args.job_id) !== '',
    execute: args => views.open({ job_id: text(args.job_id), folder: text(args.folder) })
  });
}
