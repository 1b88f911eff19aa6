import { Clipboard } from '@jupyterlab/apputils';
import * as React from 'react';

import type { IModel } from '../api/answers';
import type { IDetails, IModelFile } from '../api/details';
import type { IAsked } from '../components/asked';
import { Asking, useAsked } from '../components/asked';
import { ActionButton } from '../components/button';
import { useApp } from '../components/context';
import { FileTable } from '../components/files';
import { formatBytes } from '../domain/format';
import { originName, revisionWords } from '../domain/names';

/** So many digits tell a digest from others. */
const DIGITS = 12;

interface IFilesFoldProps {
  readonly entry: IModel;
  /** What is known without a hub. */
  readonly local: IAsked<IDetails>;
}

/** The files of a model: those in the cache at once, those on a hub when somebody asks. */
export function FilesFold({ entry, local }: IFilesFoldProps): JSX.Element {
  const { store, trans } = useApp();
  const { model_name: name } = entry;
  const remote = useAsked(signal => store.client.details(name, true, signal));
  const found = local.value?.files ? local.value : remote.value;
  return (
    <>
      <h4 className="jp-Qwen3ft-heading">{trans.__('Files')}</h4>
      <Asking asked={{ ...local, isBusy: false }} label={trans.__('Files of %1', name)} />
      <Asking asked={remote} label={trans.__('Files of %1', name)} />
      {found?.files ? (
        <Files found={found} files={found.files} />
      ) : (
        !remote.isBusy && (
          <ActionButton
            label={trans.__('List the files')}
            description={trans.__('List the files of %1: a hub is asked', name)}
            onClick={remote.ask}
          />
        )
      )}
    </>
  );
}

interface IFilesProps {
  readonly found: IDetails;
  readonly files: ReadonlyArray<IModelFile>;
}

function Files({ found, files }: IFilesProps): JSX.Element {
  const { trans, locale } = useApp();
  const size = files.reduce((sum, file) => sum + file.size, 0);
  const origin = originName(found.model_name, found.hub, trans);
  const facts = [
    trans._n('%1 file', '%1 files', files.length),
    formatBytes(size, locale),
    found.cached ? trans.__('in the cache, from %1', origin) : trans.__('on %1', origin),
    revisionWords(found.revision, found.commit)
  ];
  return (
    <>
      <div className="jp-Qwen3ft-meta">{facts.filter(fact => fact !== '').join(' · ')}</div>
      <FileTable
        label={trans.__('Files of %1', found.model_name)}
        files={files}
        title={trans.__('Digest')}
        cell={file => <Digest file={file} />}
      />
    </>
  );
}

/** The beginning of a digest; a press copies all of it. */
function Digest({ file }: { readonly file: IModelFile }): JSX.Element {
  const { trans } = useApp();
  const [isCopied, setCopied] = React.useState(false);
  const { path, sha256, git_sha1: git } = file;
  const digest = sha256 || git;
  if (digest === '') {
    return <>–</>;
  }
  const kind = sha256 ? 'sha256' : 'git-sha1';
  return (
    <button
      type="button"
      className="jp-Qwen3ft-digest jp-mod-link"
      title={trans.__('%1 %2. Press to copy', kind, digest)}
      aria-label={trans.__('%1: copy the %2 of %3', digest.slice(0, DIGITS), kind, path)}
      onClick={() => {
        Clipboard.copyToSystem(digest);
        setCopied(true);
      }}
      onBlur={() => setCopied(false)}
    >
      <code>{digest.slice(0, DIGITS)}</code>
      <span role="status">{isCopied ? ` ${trans.__('copied')}` : ''}</span>
    </button>
  );
}
