import * as React from 'react';

import { ActionButton } from '../components/button';
import { useApp } from '../components/context';
import { CommandIDs } from '../domain/commands';

/** The buttons that use a model: code for the notebook, and the form; none where the commands are switched off. */
export function CellButtons({ modelName }: { readonly modelName: string }): JSX.Element | null {
  const { commands, trans } = useApp();
  return (
    <>
      {commands.hasCommand(CommandIDs.insertLoadCell) && (
        <ActionButton
          label={trans.__('Load')}
          description={trans.__('Load %1: put the code into the notebook', modelName)}
          onClick={() => void commands.execute(CommandIDs.insertLoadCell, { modelName })}
        />
      )}
      <FineTuneButton modelName={modelName} />
      {commands.hasCommand(CommandIDs.openPlayground) && (
        <ActionButton
          label={trans.__('Chat')}
          description={trans.__('Chat with %1 in the playground', modelName)}
          onClick={() => void commands.execute(CommandIDs.openPlayground, { model: modelName })}
        />
      )}
    </>
  );
}

/** Opens the form of a fine-tune; without it, the code goes into the notebook. */
export function FineTuneButton({ modelName }: { readonly modelName: string }): JSX.Element | null {
  const { commands, trans } = useApp();
  const hasForm = commands.hasCommand(CommandIDs.openFineTune);
  const command = hasForm ? CommandIDs.openFineTune : CommandIDs.insertFineTuneCells;
  if (!commands.hasCommand(command)) {
    return null;
  }
  return (
    <ActionButton
      label={trans.__('Fine-tune')}
      description={
        hasForm
          ? trans.__('Fine-tune %1: choose data, see whether it fits, start', modelName)
          : trans.__('Fine-tune %1: put the code into the notebook', modelName)
      }
      onClick={() => void commands.execute(command, { modelName })}
    />
  );
}
