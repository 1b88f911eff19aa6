/** Icons that JupyterLab, or the oldest that we run in, does not bring along. */

import { LabIcon } from '@jupyterlab/ui-components';

import infoSvg from '../../style/icons/info.svg';
import pauseSvg from '../../style/icons/pause.svg';
import pinSvg from '../../style/icons/pin.svg';
import qwen3ftSvg from '../../style/icons/qwen3ft.svg';

/** The panel's own icon. */
export const qwen3ftIcon = new LabIcon({ name: 'qwen3ft:panel', svgstr: qwen3ftSvg });

/** What there is to know before something is done; JupyterLab's own is a question mark. */
export const infoIcon = new LabIcon({ name: 'qwen3ft:info', svgstr: infoSvg });

/** Work that waits until somebody lets it go on. */
export const pauseIcon = new LabIcon({ name: 'qwen3ft:pause', svgstr: pauseSvg });

/** A model that stays when room is made. */
export const pinIcon = new LabIcon({ name: 'qwen3ft:pin', svgstr: pinSvg });
