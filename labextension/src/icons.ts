/** Icons that JupyterLab does not bring along. */

import { LabIcon } from '@jupyterlab/ui-components';

import qwen3ftSvg from '../style/icons/qwen3ft.svg';

/** The panel's own icon. */
export const qwen3ftIcon = new LabIcon({ name: 'qwen3ft:panel', svgstr: qwen3ftSvg });
