import './base.css';
import './run.css';
import './playground.css';
