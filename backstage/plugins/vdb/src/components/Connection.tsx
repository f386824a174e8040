import { ButtonIcon } from '@backstage/ui';
import { RiCheckLine, RiFileCopyLine } from '@remixicon/react';
import { useState } from 'react';
import type { Endpoint } from '@postgres-vdb-platform/backstage-plugin-vdb-common';
import { commands } from '../connection';
import styles from './DatabaseCard.module.css';

/** How to connect: from the cluster by host and Secret, from a terminal by kubectl and psql. */
export const Connection = ({ endpoint }: { endpoint: Endpoint }) => {
  const typed = commands(endpoint);
  return (
    <section data-testid="vdb-connection">
      <h4 className={styles.heading}>Connect</h4>
      <dl className={styles.facts}>
        <Value
          title="Host"
          testId="vdb-host"
          text={`${endpoint.host}:${endpoint.port}`}
        />
        <Value
          title="Database"
          testId="vdb-database"
          text={endpoint.database}
        />
        <Value title="User" testId="vdb-user" text={endpoint.user} />
        <Value
          title="Secret"
          testId="vdb-secret"
          text={`${endpoint.namespace} / ${endpoint.secret}`}
        />
      </dl>
      <div className={styles.terminal}>
        <pre data-testid="vdb-command">{typed}</pre>
        <Copy text={typed} />
      </div>
    </section>
  );
};

const Value = (props: { title: string; testId: string; text: string }) => (
  <div className={styles.fact}>
    <dt>{props.title}</dt>
    <dd>
      <code data-testid={props.testId}>{props.text}</code>
    </dd>
  </div>
);

const Copy = ({ text }: { text: string }) => {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
  };
  return (
    <ButtonIcon
      className={styles.copy}
      aria-label={copied ? 'Copied' : 'Copy the commands'}
      data-testid="vdb-copy"
      icon={copied ? <RiCheckLine /> : <RiFileCopyLine />}
      onPress={copy}
      size="small"
      variant="tertiary"
    />
  );
};
