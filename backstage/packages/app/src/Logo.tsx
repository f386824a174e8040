import { Link, useSidebarOpenState } from '@backstage/core-components';

/** Two disks, one growing out of the other: a copy that shares its blocks. */
const Mark = () => (
  <svg width="28" height="28" viewBox="0 0 28 28" aria-hidden>
    <g fill="none" stroke="#7df3e1" strokeWidth="2">
      <ellipse cx="10" cy="7" rx="7" ry="3" />
      <path d="M3 7v11c0 1.7 3.1 3 7 3" />
      <ellipse cx="18" cy="14" rx="7" ry="3" fill="#171717" />
      <path d="M11 14v9c0 1.7 3.1 3 7 3s7-1.3 7-3v-9" fill="#171717" />
    </g>
  </svg>
);

export const Logo = () => {
  const { isOpen } = useSidebarOpenState();
  return (
    <Link
      to="/"
      underline="none"
      aria-label="Home"
      style={{
        display: 'flex',
        alignItems: 'center',
        gap: 12,
        height: 72,
        paddingLeft: 22,
        color: '#fff',
        fontWeight: 600,
        whiteSpace: 'nowrap',
        overflow: 'hidden',
      }}
    >
      <Mark />
      {isOpen && 'Databases'}
    </Link>
  );
};
