import * as React from 'react';

import { ActionButton } from '../components/button';
import { useApp } from '../components/context';
import { CommandIDs } from '../domain/commands';

/** The buttons that put code into the notebook; none where the commands are switched off. */
export function CellButtons({ modelName }: { readonly modelName: string }): JSX.Element | null {
  const { commands, trans } = useApp();
  if (!commands.hasCommand(CommandIDs.insertLoadCell)) {
    return null;
  }
  return (
    <>
      <ActionButton
        label={trans.__('Load')}
        description={trans.__('Load %1: put the code into the notebook', modelName)}
        onClick={() => void commands.execute(CommandIDs.insertLoadCell, { modelName })}
      />
      <ActionButton
        label={trans.__('Fine-tune')}
        description={trans.__('Fine-tune %1: put the code into the notebook', modelName)}
        onClick={() => void commands.execute(CommandIDs.insertFineTuneCells, { modelName })}
      />
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
