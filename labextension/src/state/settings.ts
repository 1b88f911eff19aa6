/** The user's settings of the panel. */

import type { ISettingRegistry } from '@jupyterlab/settingregistry';

import { number } from '../api/read';
import { NOTICES } from '../domain/jobs';
import type { Store } from './store';

/**
 * Keep the store at what the user set.
 *
 * @param pluginId - The plugin whose schema holds the settings.
 */
export async function followSettings(
  registry: ISettingRegistry,
  pluginId: string,
  store: Store
): Promise<void> {
  const settings = await registry.load(pluginId).catch(() => null);
  if (settings === null) {
    // Without its schema, as in a page that hides it, the panel keeps its defaults.
    return;
  }
  const apply = () => {
    const seconds = number(settings.composite.refreshInterval);
    if (seconds !== null) {
      store.intervalMs = seconds * 1000;
    }
    store.notices = NOTICES.find(each => each === settings.composite.notifications) ?? 'all';
    store.showUncatalogued = settings.composite.showUncatalogued !== false;
    store.actions.firstSteps.follow(settings.composite.firstSteps !== false, () =>
      settings.set('firstSteps', false)
    );
  };
  apply();
  settings.changed.connect(apply, store);
}
