/** The user's settings of the panel. */

import type { ISettingRegistry } from '@jupyterlab/settingregistry';

import type { PanelModel } from './store';
import { number } from '../api/types';

/**
 * Keep the model at what the user set.
 *
 * @param pluginId - The plugin whose schema holds the settings.
 */
export async function followSettings(
  registry: ISettingRegistry,
  pluginId: string,
  model: PanelModel
): Promise<void> {
  const settings = await registry.load(pluginId).catch(() => null);
  if (settings === null || model.isDisposed) {
    // Without its schema, as in a page that hides it, the panel keeps its defaults.
    return;
  }
  const apply = () => {
    const seconds = number(settings.composite.refreshInterval);
    if (seconds !== null) {
      model.intervalMs = seconds * 1000;
    }
    model.showUncatalogued = settings.composite.showUncatalogued !== false;
  };
  apply();
  settings.changed.connect(apply, model);
}
