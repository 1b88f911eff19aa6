import { followEnd } from '../state/log';
import { eventually, FakeServer } from './fake';

const PIECE = { text: 'one\n', next_offset: 4 };

type Told = Parameters<Parameters<typeof followEnd>[3]>[0];

describe('following a log', () => {
  it('goes on after a request that failed', async () => {
    const server = new FakeServer();
    server.reply('GET jobs/j/log', { code: 'busy', message: 'Busy.' }, 503);
    const told: Told[] = [];
    const end = followEnd(
      server.client,
      'j',
      { size: 100, isRunning: true, isHidden: () => false, intervalMs: 1 },
      log => told.push(log)
    );
    await eventually(() => expect(told.length).toBeGreaterThan(0));
    expect(told[0].problem).not.toBeNull();
    server.reply('GET jobs/j/log', PIECE);
    await eventually(() => expect(told[told.length - 1].text).toContain('one'));
    expect(told[told.length - 1].problem).toBeNull();
    end();
  });

  it('asks once, and no more while nobody sees it', async () => {
    const server = new FakeServer();
    server.reply('GET jobs/j/log', PIECE);
    let looks = 0;
    const end = followEnd(
      server.client,
      'j',
      {
        size: 100,
        isRunning: true,
        isHidden: () => {
          looks += 1;
          return true;
        },
        intervalMs: 1
      },
      () => undefined
    );
    await eventually(() => expect(looks).toBeGreaterThan(3));
    end();
    expect(server.asked).toEqual(['GET jobs/j/log']);
  });
});
