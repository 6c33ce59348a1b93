// SPDX-License-Identifier: GPL-3.0-or-later
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

// A folder that is gone when the process ends.
const folders = [];
process.on('exit', () => {
  for (const folder of folders) {
    fs.rmSync(folder, { recursive: true, force: true });
  }
});
export function temporaryFolder(name) {
  folders.push(fs.mkdtempSync(path.join(os.tmpdir(), `nfmeter-${name}-`)));
  return folders.at(-1);
}
