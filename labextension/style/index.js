import './base.css';
import './playground.css';
