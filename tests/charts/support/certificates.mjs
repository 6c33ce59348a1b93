// SPDX-License-Identifier: GPL-3.0-or-later
// Authorities and certificates, by openssl.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { temporaryFolder } from './folder.mjs';

const openssl = (...words) =>
    execFileSync('openssl', words, { stdio: ['ignore', 'pipe', 'pipe'] });

let count = 0;

// Signs certificates that are valid for a day.
export class Authority {
  constructor(name) {
    this.folder = temporaryFolder('ca');
    this.key = path.join(this.folder, 'ca.key');
    this.file = path.join(this.folder, 'ca.crt');
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt',
            'ec_paramgen_curve:P-256', '-nodes', '-days', '1', '-subj',
            `/CN=${name}`, '-keyout', this.key, '-out', this.file);
  }

  get certificate() {
    return fs.readFileSync(this.file, 'utf8');
  }

  // `names`: subject alternative names, as openssl writes them. As the keys of
  // a Secret: tls.crt, tls.key and ca.crt.
  issue(names) {
    const base = path.join(this.folder, `${++count}`);
    openssl('req', '-new', '-newkey', 'ec', '-pkeyopt',
            'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=test',
            '-keyout', `${base}.key`, '-out', `${base}.csr`);
    fs.writeFileSync(`${base}.ext`, `subjectAltName=${names}\n` +
                     'basicConstraints=CA:FALSE\n' +
                     'extendedKeyUsage=serverAuth,clientAuth\n');
    openssl('x509', '-req', '-in', `${base}.csr`, '-CA', this.file, '-CAkey',
            this.key, '-set_serial', String(1000 + count), '-days', '1',
            '-extfile', `${base}.ext`, '-out', `${base}.crt`);
    return { 'tls.crt': fs.readFileSync(`${base}.crt`, 'utf8'),
             'tls.key': fs.readFileSync(`${base}.key`, 'utf8'),
             'ca.crt': this.certificate };
  }
}
